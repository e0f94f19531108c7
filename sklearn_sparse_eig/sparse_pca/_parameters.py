"""What the parameters of the estimator may be: to its check of them, and to a type checker."""

from numbers import Integral, Real

from .._base.compat import Interval, StrOptions
from ..recovery import RULES, Decoder, DecoderName, NoiseName, NonzeroCounts, RankRule
from ..sketching import Measurement, MeasurementName, SketchKind

__all__ = [
    "CONSTRAINTS",
    "DecoderName",
    "MeasurementName",
    "NoiseName",
    "NonzeroCounts",
    "RankRule",
    "SketchKind",
]

CONSTRAINTS: dict = {
    "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions(set(RULES))],
    "n_nonzero_coefs": [
        Interval(Integral, 1, None, closed="left"),
        "array-like",
        StrOptions({"auto"}),
    ],
    "sketch": [StrOptions({"auto", "two_sided", "mam"})],
    "measurement": [str, Measurement],
    "n_measurements": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "range_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "decoder": [str, Decoder],
    "noise": [StrOptions({"isotropic", "diagonal"}), None],
    "refine": [StrOptions({"auto", "data", "sketch"})],
    "center": ["boolean"],
    "positive": ["boolean"],
    "forgetting": [Interval(Real, 0, 1, closed="right")],
    "memory_budget": [Interval(Real, 0, None, closed="neither")],
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "n_jobs": [Integral, None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}
