"""Write the coordinates of rows on the components of a model.

There is one line, or row of the array, for each row of the input.
"""

import argparse
import csv
import os
from collections.abc import Sequence
from io import BytesIO, StringIO
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._base.files import write_whole
from .._base.messages import warn_user
from .._base.places import with_place
from ..streams import load
from ._log_counts import TOTAL, are_counts, are_whole
from ._reading import as_fitted, as_flags, read_as
from ._source import add_source, open_source

EXAMPLES = """examples:
  sparse-eig transform programmes.skse cells.h5ad -o scores.npy
  sparse-eig transform topics.skse 'new/*.parquet' -o scores.csv
  sparse-eig transform topics.skse new-letters/ -o scores.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("model", help="file of a model")
    add_source(parser)
    parser.add_argument(
        "--as-given",
        action="store_true",
        help="read rows by the options given here alone; otherwise also by those of fit "
        "(--log-counts, --layer, --columns and others that the model keeps)",
    )
    parser.add_argument(
        "--no-names", action="store_true", help="leave the first column of the table out"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="array (.npy) or table (.csv)"
    )


def run(options: argparse.Namespace) -> None:
    """Run this command."""
    if not options.output.endswith((".npy", ".csv")):
        raise ValueError(f"The output ends with .npy or .csv, got {options.output}.")
    model = load(options.model)
    if not hasattr(model, "transform"):
        raise ValueError(f"{options.model} has no components to transform by.")
    batches = _open_as_fitted(as_fitted(options, model, options.model), options, model)
    _check_names(model, batches.feature_names, options.model)
    _look_at_counts(model, batches)
    scores = np.vstack([_transformed(model, batches, i, rows) for i, rows in enumerate(batches)])
    names = None if options.no_names else batches.row_names() or range(len(scores))
    write_whole(options.output, _written(scores, names, options.output))
    print(f"{len(scores)} rows, {scores.shape[1]} components; saved as {options.output}")


def _transformed(model: Any, batches: Any, n_batches: int, rows: Any) -> np.ndarray:
    try:
        return np.asarray(model.transform(rows))
    except ValueError as error:
        raise with_place(error, batches, n_batches, rows) from error


def _open_as_fitted(options: argparse.Namespace, given: argparse.Namespace, model: Any) -> Any:
    """Return the batches; say where options come from that were not given."""
    names = getattr(model, "term_names_", None)
    try:
        return open_source(options, None if names is None else names.vectorizer)
    except ValueError as error:
        if options is given or not read_as(model):
            raise
        raise ValueError(
            f"{error} ({given.model} was fitted with {as_flags(read_as(model) or {})}, and rows "
            "are read in the same way unless --as-given is added.)"
        ) from error


def _look_at_counts(model: Any, batches: Any) -> None:
    """Warn of raw counts where logarithms are known, and of what can be no counts."""
    counts = getattr(batches, "counts", None)  # of which logarithms are taken
    if counts is not None:
        if not are_whole(next(iter(counts), np.empty(0))):
            warn_user(
                "Logarithms are taken of counts, but the rows are no whole numbers. If they are "
                "logarithms already, add --as-given, and leave out --log-counts."
            )
        return
    if not are_counts(next(iter(batches), np.empty(0))):
        return
    mean = model.mean_
    largest = float(np.abs(mean.data if sp.issparse(mean) else mean).max(initial=0.0))
    if largest <= np.log1p(TOTAL):
        warn_user(
            f"The rows look like raw counts, but the means of the model are at most {largest:.3g}. "
            "If it was fitted to logarithms of counts, give --log-counts"
            f"{'.' if read_as(model) is None else ' --as-given.'}"
        )


def _check_names(model: Any, names: list[str] | None, path: str) -> None:
    known = getattr(model, "feature_names_in_", None)
    if known is None or names is None or known.tolist() == names:
        return
    pairs = zip(known, names, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(known), len(names)))
    here = names[place] if place < len(names) else "nothing"
    there = known[place] if place < len(known) else "nothing"
    raise ValueError(
        f"Feature {place} is {here!r} in the input and {there!r} in {path}. Give the same "
        "features in the same order, for instance by --columns."
    )


def _written(
    scores: np.ndarray, names: Sequence[Any] | None, path: str
) -> list[bytes | memoryview]:
    """Return an array, or a table with the names of the rows in its first column."""
    if os.fspath(path).endswith(".npy"):
        file = BytesIO()
        np.save(file, scores)
        return [file.getvalue()]
    table = StringIO()
    writer = csv.writer(table, lineterminator="\n")
    head = [f"component_{i}" for i in range(scores.shape[1])]
    writer.writerow(head if names is None else ["row", *head])
    for i, row in enumerate(scores):
        values = [f"{value:.9g}" for value in row]
        writer.writerow(values if names is None else [names[i], *values])
    return [table.getvalue().encode("utf-8", "surrogateescape")]
