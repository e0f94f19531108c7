"""Measurements by name."""

from typing import Any, Literal, TypeVar

from ._base import Measurement

# The names of the measurements here. One that is registered elsewhere is passed as an instance, or
# by its name where types are not checked.
MeasurementName = Literal["sparse_sign", "gaussian", "identity", "prime_residue"]

_REGISTRY: dict[str, type[Measurement]] = {}
_Class = TypeVar("_Class", bound=type[Measurement])


def register(cls: _Class) -> _Class:
    """Make a measurement class known by its ``name``. Returns the class, so it decorates."""
    _REGISTRY[cls.name] = cls
    return cls


def measurement_names() -> list[str]:
    """Return the names of all registered measurements, sorted."""
    return sorted(_REGISTRY)


def find_measurement(
    measurement: MeasurementName | Measurement,
) -> type[Measurement] | Measurement:
    """Return the class of a name, or an instance as it is; both tell what they can do.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    # An instance or a name, as the parameter allows.
    if isinstance(measurement, Measurement):
        return measurement
    if measurement not in _REGISTRY:
        raise ValueError(
            f"measurement must be one of {measurement_names()} or a Measurement instance, "
            f"got {measurement!r}."
        )
    return _REGISTRY[measurement]


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
        What :meth:`Measurement.of_size` makes of it: "sparse_sign" rounds it up to a multiple of
        the number of blocks, and makes these fewer where there are too few measurements for eight.
    seed : int, default=0

    Raises
    ------
    ValueError
        If the name is unknown, or an instance measures another number of features.
    """
    found = find_measurement(measurement)
    if isinstance(found, type):
        if n_measurements is None and not found.keeps_features:
            keeping = [name for name in measurement_names() if _REGISTRY[name].keeps_features]
            raise ValueError(
                f"measurement={measurement!r} needs n_measurements; only "
                f"{', '.join(map(repr, keeping))} does without."
            )
        return found.of_size(n_features, n_measurements, seed)
    if found.n_features != n_features:
        raise ValueError(
            f"measurement is made for {found.n_features} features, but there are {n_features}."
        )
    return found


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
        raise ValueError(f"Unknown measurement {name!r}; known are {measurement_names()}.")
    measurement = _REGISTRY[name](**spec)
    here = measurement.spec().get("hash_version")
    if version != here:
        raise ValueError(
            f"The sketch was made with hash version {version}, this release has {here}: "
            "read it with the release that wrote it."
        )
    return measurement
