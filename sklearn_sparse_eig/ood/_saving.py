"""Saving a detector without its classifier, and loading it beside the same one."""

import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp

from .._base.compat import take_rows
from .._base.files import PathLike, read_whole
from .._base.saving import SavedMixin
from ..gradients import PRECOMPUTED_BACKENDS, Network, make_network, on_device
from ._evidence import FeatureReader

# What belongs to the classifier, and what is computed when it is needed.
_LEFT_OUT = {"_network", "estimator_", "_span", "_features", "_reader", "_example"}


class DetectorSavingMixin(SavedMixin):
    """``save`` and ``load`` of all but the classifier, which is known by its parameters."""

    if TYPE_CHECKING:  # of the detector
        estimator: Any
        estimator_: Any
        backend: str
        device: Any
        _network: Network
        _span: Any
        _features: Any
        _reader: Any
        _example: Any

    def save(self, path: PathLike) -> None:
        """Write the detector to a file, without pickle and without its classifier.

        The classifier is saved by the means of its own library, and given to :meth:`load`. The file
        is written beside its place, synchronised with the disk, and renamed: there is always the
        old file or the new one, as a whole.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If it cannot be written, for instance because the disk is full. A file that was there
            is then as it was.
        """
        super().save(path)

    @classmethod
    def load(cls, path: PathLike, estimator: Any = None) -> Self:
        """Read a detector that was written by :meth:`save`.

        Parameters
        ----------
        path : path-like
        estimator : fitted classifier, default=None
            The classifier of the detector, with the same parameters. None if gradients are
            precomputed.

        Returns
        -------
        detector : GradPCADetector
            It goes on as the one that was saved would have gone on.

        Raises
        ------
        ValueError
            If the file is of another kind, from a later version, truncated or damaged, or if the
            classifier is another one.
        """
        return cls._unpacked(read_whole(path), os.fspath(path), estimator=estimator)

    def _saved_params(self) -> dict[str, Any]:
        params = super()._saved_params()
        del params["estimator"]
        return params | {"device": None if self.device is None else str(self.device)}

    def _saved_attributes(self) -> dict[str, Any]:
        attributes = super()._saved_attributes()
        example = attributes.get("_example")
        if self.backend in PRECOMPUTED_BACKENDS:  # what stands for a model is of this library
            left_out = _LEFT_OUT - {"estimator_"}
        else:
            left_out = _LEFT_OUT
        return {name: value for name, value in attributes.items() if name not in left_out} | {
            "model": _fingerprint(self._network),
            "reader": None if self._reader is None else (self._reader.n_features,),
            "example": None if example is None else (example.dtype.str, example.shape),
        }

    def _take_attributes(self, attributes: dict[str, Any]) -> None:
        expected, example = attributes.pop("model"), attributes.pop("example")
        reader = attributes.pop("reader")
        model = attributes.pop("estimator_", self.estimator)
        if model is None:
            raise TypeError(
                "The file holds no classifier, for it holds no pickle. Call load(path, classifier) "
                "with the fitted one that was used, kept by the means of its own library."
            )
        network = make_network(model if self.device is None else on_device(model, self.device))
        if _fingerprint(network) != expected:
            raise ValueError(
                f"The detector was fitted beside another classifier than the one given, a "
                f"{type(model).__name__}: their parameters differ. Give load the fitted estimator "
                "that was used."
            )
        if example is not None:
            # Layers are run in the same order whatever the values.
            self._example = np.zeros(example[1], np.dtype(example[0]))
            network.look_at(self._example)
        super()._take_attributes(attributes)
        self._network, self.estimator_ = network, model
        self._span = self._features = None
        self._reader = None if reader is None else FeatureReader(network, *reader)


def example_of(X: Any) -> np.ndarray | None:
    """Return what two rows look like, zeros of their shape; None if they are no numbers."""
    rows = take_rows(X, slice(0, 2))
    is_plain = isinstance(rows, np.ndarray) and rows.dtype.kind in "biuf" and not sp.issparse(rows)
    return np.zeros_like(rows) if is_plain else None


def _fingerprint(network: Network) -> str:
    """Return a hash of the parameters of a network, and of their shapes."""
    digest = blake2b(digest_size=16)
    for values in network.parameters():
        array = np.ascontiguousarray(values)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        is_object = array.dtype == object
        digest.update(repr(array.tolist()).encode() if is_object else array.tobytes())
    return digest.hexdigest()
