"""Samples of a deterministic generator, in batches, with checks of what it returns."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._base.batches import in_batches
from .._base.progress import tell
from .._base.typed import Auto

# Rows that are generated twice, to see that a seed decides its sample: the second time alone, and
# in reverse, so that noise which is drawn anew from the same state in each call shows too.
_N_REPEATED = 4
# Between two runs of the same seeds, relative: kernels of other batch sizes round differently.
_REPEAT_TOLERANCE = 1e-2


def as_array(values: Any) -> np.ndarray:
    """Return values as an array; tensors are detached and moved to the processor first."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        try:
            return values.numpy()
        except TypeError:  # half precisions that NumPy lacks
            return values.float().numpy()
    return np.asarray(values)


def generate(generator: Any, Z: np.ndarray) -> np.ndarray:
    """Return the samples of seeds Z as an array with a row for each.

    Parameters
    ----------
    generator : callable or object with ``transform``
        If it returns a tuple, its first entry are the samples.
    Z : ndarray of shape (n, d)

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If samples are not finite or their number is not that of the seeds.
    """
    function = generator if callable(generator) else getattr(generator, "transform", None)
    if function is None:
        raise TypeError(
            "generator must be a function of seeds, or have transform; got "
            f"{type(generator).__name__}. Wrap it in a function that takes an array of shape "
            "(n, n_features) and returns n samples."
        )
    samples = function(np.ascontiguousarray(Z))  # tensors cannot be made of reversed arrays
    samples = as_array(samples[0] if isinstance(samples, tuple) else samples)
    if samples.ndim == 0 or len(samples) != len(Z):
        raise ValueError(
            f"The generator got {len(Z)} seeds and returned an array of shape {samples.shape}. "
            "One sample for each seed is needed, along the first axis."
        )
    if samples.dtype.kind in "fc" and not np.isfinite(samples).all():
        rows = ~np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
        raise ValueError(
            f"The samples of {rows.sum()} of {len(Z)} seeds are not finite, first that of row "
            f"{np.flatnonzero(rows)[0]} of its batch. Remove such seeds, or check the generator."
        )
    return samples


def generate_batches(
    generator: Any, Z: np.ndarray, batch_size: int | Auto, floats_per_sample: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (slice, samples) for batches of seeds, smaller ones where memory does not suffice.

    Parameters
    ----------
    generator : callable or object with ``transform``
    Z : ndarray of shape (n, d)
    batch_size : int or "auto"
        "auto" for samples that fill a few megabytes.
    floats_per_sample : int
    """
    for start, samples in in_batches(
        lambda rows: generate(generator, rows), Z, batch_size, floats_per_sample
    ):
        tell("generator", "seeds", start + len(samples), len(Z))
        yield slice(start, start + len(samples)), samples


def first_samples(generator: Any, Z: np.ndarray) -> np.ndarray:
    """Return the samples of the first few seeds, generated alone and in reverse order."""
    return generate(generator, Z[:_N_REPEATED][::-1])[::-1]


def check_deterministic(samples: np.ndarray, repeated: np.ndarray) -> None:
    """Check that the first seeds gave the same samples alone and in reverse order.

    Parameters
    ----------
    samples : ndarray
        The first samples of a batch, or more.
    repeated : ndarray
        Those of :func:`first_samples`.

    Raises
    ------
    ValueError
        If they differ by more than rounding.
    """
    n = min(len(samples), len(repeated))
    before, after = samples[:n], repeated[:n]
    if before.dtype.kind not in "fc":
        same, gap = np.array_equal(before, after), "others"
    else:
        change, size = np.linalg.norm(after - before), np.linalg.norm(before)
        same, gap = change <= _REPEAT_TOLERANCE * size, f"off by {change:.3g} (norm {size:.3g})"
    if not same:
        raise ValueError(
            f"The generator is not deterministic: the same {len(after)} seeds gave samples {gap} "
            "when run again, alone and in reverse order. A seed must decide its sample. Use a "
            "sampler without noise (DDIM with eta=0), switch dropout off, and use no statistics "
            "of the batch."
        )
