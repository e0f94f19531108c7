"""Merge models or sketches of different rows into one.

They must have been made with the same parameters and the same seed.
"""

import argparse
import os
from hashlib import blake2b

from .._base.files import read_whole
from ..streams import load
from ._reading import check_read_alike
from ._size import with_size

EXAMPLES = """examples:
  sparse-eig fit monday.parquet -o monday.skse --seed 0
  sparse-eig fit tuesday.parquet -o tuesday.skse --seed 0
  sparse-eig merge monday.skse tuesday.skse -o both.skse
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("models", nargs="+", help="files of models or sketches")
    parser.add_argument("-o", "--output", required=True, metavar="MODEL", help="file of the sum")


def run(options: argparse.Namespace) -> None:
    """Run this command."""
    places = [os.path.realpath(path) for path in options.models]
    for i, place in enumerate(places):
        if place in places[:i]:
            raise ValueError(
                f"{options.models[i]} is given twice, and its rows would count twice. Name each "
                "file once."
            )
    first = options.models[0]
    total, known = load(first), {_digest(first): first}
    for path in options.models[1:]:
        other = load(path)
        check_read_alike(total, other, (first, path))
        try:
            total.merge(other)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} does not fit {first}. {error}") from error
        # After shards that have names, which say it better.
        same = known.setdefault(_digest(path), path)
        if same != path:
            raise ValueError(
                f"{path} is a copy of {same}, byte for byte, and its rows would count twice. Name "
                "one of them."
            )
    total.save(options.output)
    n_rows = getattr(total, "n_samples_seen_", None)
    n_rows = total.n_samples if n_rows is None else n_rows
    print(f"{len(options.models)} files, {n_rows} rows; saved as {with_size(options.output)}")


def _digest(path: str) -> bytes:
    return blake2b(read_whole(path)).digest()
