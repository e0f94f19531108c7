"""Fit sparse components to the rows of files and save the model.

Rows are read in a thread, sketched and forgotten; the model is written as a whole at the end.
"""

import argparse
from typing import Any

import numpy as np

from .._base.messages import warn_user
from ..lowrank import DeepFactorizationCovariance
from ..sparse_pca import SketchedSparsePCA
from ..streams import fit_stream
from ._log_counts import are_counts
from ._reading import remember
from ._show import show
from ._size import with_size
from ._source import add_analysis, add_source, open_source, read_names

# Features of each component that are shown at the end; show has all.
_SHOWN = 20

EXAMPLES = """examples:
  sparse-eig fit cells.h5ad --layer log1p -o programmes.skse -k 8 -s 30
  sparse-eig fit letters/ -o topics.skse -k 5 -s 8 --positive --stop-words english --sublinear
  sparse-eig fit 'news/*.parquet' --text-column body -o topics.skse -k 5 -s 8 --stop-words english
  sparse-eig fit 'folder/*.parquet' --columns words=counts --n-features 4611686018427387904 \\
      -o topics.skse -k 5 -s 8 --checkpoint run.ckpt
After a crash, give the same command again: it goes on from the checkpoint.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser)
    add_analysis(parser)
    parser.add_argument("-o", "--output", required=True, metavar="MODEL", help="file of the model")
    run = parser.add_argument_group("run")
    run.add_argument("--checkpoint", metavar="FILE", help="keep and resume the run in this file")
    run.add_argument(
        "--every",
        default="1 min",
        help="how often: '30 s', '100 batches' (default: '1 min')",
    )
    run.add_argument(
        "-q",
        "--quiet",
        action="store_true",
        help="show no progress and no result; warnings are shown",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--estimator", choices=["pca", "covariance"], default="pca", help="default: pca"
    )
    model.add_argument(
        "-k",
        "--components",
        type=_count,
        default=2,
        help="number, or 'auto', 'plateau'; default: 2",
    )
    model.add_argument(
        "-s", "--nonzeros", type=_count, default="auto", help="features of each, default: auto"
    )
    model.add_argument("--noise", choices=["isotropic", "diagonal", "none"], default="isotropic")
    model.add_argument("--positive", action="store_true", help="no negative loadings")
    model.add_argument("--no-center", action="store_true", help="do not subtract the mean")
    model.add_argument(
        "--memory", type=float, default=256e6, metavar="BYTES", help="budget, default: 256e6"
    )
    model.add_argument("--seed", type=int, default=0, help="equal for all that will be merged")
    model.add_argument("--names", metavar="FILE", help="names of the features, one on each line")


def _count(text: str) -> Any:
    return int(text) if text.lstrip("-").isdigit() else text


def run(options: argparse.Namespace) -> None:
    """Run this command."""
    batches = open_source(options)
    _look_for_counts(options, batches)
    names = read_names(options.names) or batches.feature_names
    estimator: Any = _estimator(options)
    remember(estimator, options, batches)  # in checkpoints, too
    fit_stream(
        estimator,
        batches,
        checkpoint=options.checkpoint,
        every=options.every,
        progress=not options.quiet,
    )
    if not hasattr(estimator, "n_features_in_"):
        raise ValueError("There are no rows in the input.")
    remember(estimator, options, batches)  # a checkpoint of an earlier release has not
    if names is not None:
        if len(names) != estimator.n_features_in_:
            raise ValueError(
                f"There are {len(names)} names for {estimator.n_features_in_} features."
            )
        estimator.feature_names_in_ = np.asarray(names, dtype=object)
    if batches.vectorizer is not None:
        _name_terms(estimator, batches)
    estimator.save(options.output)  # what took long first, then what is shown of it
    if not options.quiet:
        show(estimator, _SHOWN)
        print(f"{estimator.n_samples_seen_} rows; saved as {with_size(options.output)}")


def _look_for_counts(options: argparse.Namespace, batches: Any) -> None:
    """Say what to do about raw counts of cells, which AnnData often holds."""
    if options.log_counts or batches.format != "anndata":
        return
    if are_counts(next(iter(batches), np.empty(0))):
        warn_user(
            "The cells hold raw counts, of which the few loudest genes decide. --log-counts takes "
            "logarithms of library-normalised counts, as Scanpy does."
        )


def _name_terms(estimator: Any, batches: Any) -> None:
    """Give the model the terms recorded, and read again for those of its own that are missing."""
    words = batches.vectorizer
    missing = [i for i in getattr(estimator, "support_", ()) if int(i) not in words.terms]
    if missing:  # the run was resumed, or there are very many terms
        words.merge(batches.names_of(missing))
    estimator.term_names_ = words


def _estimator(options: argparse.Namespace) -> Any:
    if options.estimator == "covariance":
        return DeepFactorizationCovariance(assume_centered=options.no_center)
    return SketchedSparsePCA(
        options.components,
        n_nonzero_coefs=options.nonzeros,
        noise=None if options.noise == "none" else options.noise,
        positive=options.positive,
        center=not options.no_center,
        memory_budget=options.memory,
        random_state=options.seed,
    )
