"""Measurement ensembles, one class per file, registered by name.

To add one here: a file with a subclass of :class:`Measurement` that has a ``name`` and ``columns``
and is decorated with :func:`register`. To use one from elsewhere, pass an instance wherever a name
is accepted; registering it makes the name itself known, also to saved sketches.
"""

from ..._base.folders import import_files
from ._base import Measurement
from ._gaussian import GaussianMeasurement
from ._identity import IdentityMeasurement
from ._prime_residue import PrimeResidueMeasurement
from ._registry import (
    MeasurementName,
    find_measurement,
    from_spec,
    make_measurement,
    measurement_names,
    register,
)
from ._sparse_sign import SparseSignMeasurement

__all__ = [
    "GaussianMeasurement",
    "IdentityMeasurement",
    "Measurement",
    "PrimeResidueMeasurement",
    "SparseSignMeasurement",
    "from_spec",
    "make_measurement",
    "measurement_names",
    "register",
]

import_files(__name__)
