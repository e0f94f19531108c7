"""Arguments that say which rows are read, and the names that go with them."""

import argparse
from pathlib import Path
from typing import Any

from ..streams import Batches, iter_batches


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a source of rows."""
    parser.add_argument("source", nargs="+", help="files, a folder, or a pattern in quotes")
    rows = parser.add_argument_group("rows")
    rows.add_argument("--format", help="format of the files, if their suffix does not tell")
    rows.add_argument(
        "--columns",
        help="columns to read, as a,b,c; for sparse rows in Parquet ids=values, or ids=",
    )
    rows.add_argument("--batch-size", type=int, default=8192, metavar="N", help="rows at a time")
    rows.add_argument("--layer", help="layer of an AnnData, in place of X")
    rows.add_argument("--dataset", help="path of a matrix within HDF5 or Zarr")
    rows.add_argument("--sep", help="separator of CSV")
    rows.add_argument(
        "--n-features", type=int, metavar="N", help="columns of svmlight, or of ids in Parquet"
    )
    rows.add_argument(
        "--zero-based", action="store_true", default=None, help="indices of svmlight begin at 0"
    )


def open_source(options: argparse.Namespace) -> Batches:
    """Return the batches that the arguments stand for."""
    names = ("layer", "dataset", "sep", "n_features", "zero_based")
    given = {name: getattr(options, name) for name in names}
    source = options.source if len(options.source) > 1 else options.source[0]
    return iter_batches(
        source,
        options.batch_size,
        columns=_columns(options.columns),
        format=options.format,
        **{name: value for name, value in given.items() if value is not None},
    )


def _columns(text: str | None) -> Any:
    if text is None:
        return None
    if "=" in text:
        ids, _, values = text.partition("=")
        return {ids: values or None}
    names = [name for name in text.split(",") if name]
    return [int(name) for name in names] if all(n.isdigit() for n in names) else names


def read_names(path: str | None) -> list[str] | None:
    """Return names of features from a file with one on each line."""
    return None if path is None else Path(path).read_text(encoding="utf-8").splitlines()
