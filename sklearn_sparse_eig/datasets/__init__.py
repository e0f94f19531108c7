"""Data whose structure is known: generators and a small classic."""

from ._mixture_diffusion import (
    GaussianMixturePosterior,
    GaussianMixtureSampler,
    make_gaussian_mixture_diffusion,
)
from ._pitprops import load_pitprops
from ._spiked import make_sparse_spiked_covariance

__all__ = [
    "GaussianMixturePosterior",
    "GaussianMixtureSampler",
    "load_pitprops",
    "make_gaussian_mixture_diffusion",
    "make_sparse_spiked_covariance",
]
