"""Measurement ensembles, one class per file, registered by name.

To add one: subclass :class:`Measurement`, give it a ``name`` and ``columns``, and pass an instance
wherever a name is accepted; :func:`register` makes the name itself known, also to saved sketches.
"""

from typing import Any, Literal, TypeVar

from ._base import Measurement
from ._gaussian import GaussianMeasurement
from ._identity import IdentityMeasurement
from ._prime_residue import PrimeResidueMeasurement
from ._sparse_sign import SparseSignMeasurement

__all__ = [
    "GaussianMeasurement",
    "IdentityMeasurement",
    "Measurement",
    "PrimeResidueMeasurement",
    "SparseSignMeasurement",
    "from_spec",
    "make_measurement",
    "register",
]

# The names of the measurements here. One that is registered elsewhere is passed as an instance, or
# by its name where types are not checked.
MeasurementName = Literal["sparse_sign", "gaussian", "identity", "prime_residue"]

_REGISTRY: dict[str, type[Measurement]] = {}
_Class = TypeVar("_Class", bound=type[Measurement])


def register(cls: _Class) -> _Class:
    """Make a measurement class known by its ``name``, and return it: a class decorator."""
    _REGISTRY[cls.name] = cls
    return cls


for _cls in (
    SparseSignMeasurement,
    GaussianMeasurement,
    IdentityMeasurement,
    PrimeResidueMeasurement,
):
    register(_cls)


def make_measurement(
    measurement: MeasurementName | Measurement,
    n_features: int,
    n_measurements: int | None,
    seed: int = 0,
) -> Measurement:
    """Return a measurement from its name, or check and return an instance.

    Parameters
    ----------
    measurement : str or Measurement
    n_features : int
    n_measurements : int or None
        For "sparse_sign" it is rounded up to a multiple of the number of blocks, and the blocks
        are made fewer where there are too few measurements for eight.
    seed : int, default=0

    Raises
    ------
    ValueError
        If the name is unknown, or an instance measures another number of features.
    """
    if isinstance(measurement, Measurement):
        if measurement.n_features != n_features:
            raise ValueError(
                f"measurement is made for {measurement.n_features} features, but there are "
                f"{n_features}."
            )
        return measurement
    if measurement not in _REGISTRY:
        raise ValueError(
            f"measurement must be one of {sorted(_REGISTRY)} or a Measurement instance, "
            f"got {measurement!r}."
        )
    if measurement == "identity":
        return IdentityMeasurement(n_features, n_measurements)
    if n_measurements is None:
        raise ValueError(
            f"measurement={measurement!r} needs n_measurements; only 'identity' does without."
        )
    if measurement == "sparse_sign":
        # Below about four buckets a block, fewer and larger blocks separate features better.
        n_blocks = max(1, min(8, int(n_measurements) // 4))
        n_measurements = -(-int(n_measurements) // n_blocks) * n_blocks
        return SparseSignMeasurement(n_features, n_measurements, seed, n_blocks)
    return _REGISTRY[measurement](n_features, n_measurements, seed)


def from_spec(spec: dict[str, Any]) -> Measurement:
    """Rebuild a measurement from :meth:`Measurement.spec`.

    Raises
    ------
    ValueError
        If the name is unknown or the hash version is another one.
    """
    spec = {**spec}
    name = spec.pop("name")
    version = spec.pop("hash_version", None)
    if name not in _REGISTRY:
        raise ValueError(f"Unknown measurement {name!r}; known are {sorted(_REGISTRY)}.")
    measurement = _REGISTRY[name](**spec)
    here = measurement.spec().get("hash_version")
    if version != here:
        raise ValueError(
            f"The sketch was made with hash version {version}, this release has {here}: "
            "read it with the release that wrote it."
        )
    return measurement
