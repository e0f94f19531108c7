"""Whatever this library has written, read by one function."""

import os
from typing import Any

from .._base.archive import is_archive
from .._base.files import PathLike, read_whole
from .._base.saving import open_archive
from ..lowrank import DeepFactorizationCovariance
from ..ood import GradPCADetector
from ..sketching import EigenSketch
from ..sparse_pca import SketchedSparsePCA
from ._checkpoint import is_checkpoint

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (SketchedSparsePCA, DeepFactorizationCovariance, GradPCADetector)
}


def load(path: PathLike, **given: Any) -> Any:
    """Return the sketch or estimator in a file, whichever it is, also from a checkpoint.

    Parameters
    ----------
    path : path-like
        Written by ``save``, or the checkpoint of :func:`fit_stream`.
    **given : dict
        ``estimator``, the classifier of a :class:`GradPCADetector`.

    Returns
    -------
    EigenSketch, SketchedSparsePCA, DeepFactorizationCovariance or GradPCADetector

    Raises
    ------
    ValueError
        If the file holds none of them, or is truncated or damaged.
    """
    data, name = read_whole(path), os.fspath(path)
    if not is_archive(data):
        return EigenSketch.load(path)
    content = open_archive(data, name)
    if is_checkpoint(content):
        if content["class"] == EigenSketch.__name__:
            return EigenSketch.from_archive(content["content"])
        content = content["content"]
    found = content.get("estimator") if isinstance(content, dict) else None
    if found not in _KINDS:
        raise ValueError(f"{name} holds {found or 'something else'}, which is not known here.")
    return _KINDS[found].from_archive(content, name, **given)
