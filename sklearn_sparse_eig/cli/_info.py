"""Tell what a file of a model, sketch or checkpoint holds.

Nothing is recovered for that, so it is quick.
"""

import argparse
import os
from typing import Any

from .._base.archive import is_archive
from .._base.files import read_whole
from .._base.saving import open_archive
from ..streams import load
from ._reading import READ_AS, as_flags

EXAMPLES = """examples:
  sparse-eig info topics.skse
  sparse-eig info run.ckpt
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("file", help="file of a model, a sketch or a checkpoint")


def run(options: argparse.Namespace) -> None:
    """Run this command."""
    data = read_whole(options.file)
    print(f"file: {options.file}, {len(data):,} bytes")
    if not is_archive(data):
        _tell_sketch(load(options.file))
        return
    content = open_archive(data, os.fspath(options.file))
    if "stream" in content:
        position = content["stream"]
        print(f"checkpoint: {position.n_rows:,} rows in {position.n_batches:,} batches")
        if position.source is not None:
            print(f"input: {position.source}")
        content = content["content"]
    if "estimator" not in content:
        _tell_sketch(load(options.file))
        return
    print(f"estimator: {content['estimator']}")
    for name, value in content["params"].items():
        print(f"  {name}={value!r}")
    attributes = content["attributes"]
    for name in ("n_features_in_", "classes_"):
        if name in attributes:
            print(f"{name}: {attributes[name]}")
    if "feature_names_in_" in attributes:
        names = [str(name) for name in attributes["feature_names_in_"][:5]]
        print(f"names: {', '.join(names)}{', ...' if attributes['n_features_in_'] > 5 else ''}")
    if "term_names_" in attributes:
        print(f"terms: {attributes['term_names_']!r}")
    if READ_AS in attributes:
        print(f"rows read: {as_flags(attributes[READ_AS]) or 'as they are stored'}")
    if "sketch_" in attributes:
        _tell_sketch(attributes["sketch_"])


def _tell_sketch(sketch: Any) -> None:
    print(f"sketch: {sketch!r}, {sketch.nbytes:,} bytes")
    print(f"content: {sketch.content or 'nothing yet'}, weight {sketch.weight:g}")
    if sketch.shard_ids:
        print(f"shards: {', '.join(sorted(map(str, sketch.shard_ids)))}")
