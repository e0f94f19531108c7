"""Show the components of a model, with names and variances.

A sketch has no components of its own: they are recovered with the numbers given.
"""

import argparse
import json
import sys
from typing import Any

import numpy as np

from ..sparse_pca import SketchedSparsePCA
from ..streams import load
from ._source import read_names

# Loadings of each component in a picture, if not told.
_PLOTTED = 12

EXAMPLES = """examples:
  sparse-eig show topics.skse --top 8
  sparse-eig show topics.skse --plot topics.png
  sparse-eig show merged.sketch -k 5 -s 8 --names words.txt
  sparse-eig show topics.skse --json | jq .components
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("model", help="file of a model, a sketch or a checkpoint")
    parser.add_argument("--top", type=int, metavar="N", help="features of each, the largest first")
    parser.add_argument("--names", metavar="FILE", help="names of the features, one on each line")
    parser.add_argument("--plot", metavar="FILE", help="save bars of the loadings as a picture")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-k", "--components", type=int, default=2, help="of a sketch (default: 2)")
    parser.add_argument("-s", "--nonzeros", type=int, help="of a sketch, features of each")


def run(options: argparse.Namespace) -> None:
    """Run this command."""
    model = load(options.model)
    if not hasattr(model, "get_params"):
        model = SketchedSparsePCA.from_sketch(
            model, n_components=options.components, n_nonzero_coefs=options.nonzeros or "auto"
        )
    show(model, options.top, read_names(options.names), options.json)
    if options.plot is not None:
        _plot(model, options)


def show(
    model: Any, top: int | None = None, names: list[str] | None = None, as_json: bool = False
) -> None:
    """Print the components of an estimator."""
    if not hasattr(model, "describe"):
        _show_covariance(model, as_json)
        return
    described = model.describe(names, max_features=top)
    lengths = np.diff(model.eigenpairs_.eigenvectors.indptr)
    variances, shares = model.explained_variance_, model.explained_variance_ratio_
    if as_json:
        components = [
            {"variance": float(v), "share": float(s), "loadings": [[n, x] for n, x in pairs]}
            for pairs, v, s in zip(described, variances, shares, strict=True)
        ]
        print(json.dumps({"n_samples": model.n_samples_seen_, "components": components}))
        return
    for i, (pairs, variance, share) in enumerate(zip(described, variances, shares, strict=True)):
        print(f"component {i}: variance {variance:.4g}, {share:.2%} of the total")
        width = max((len(str(name)) for name, _ in pairs), default=0)
        for name, loading in pairs:
            print(f"  {str(name):<{width}}  {loading:+.3f}")
        if len(pairs) < lengths[i]:
            print(f"  and {lengths[i] - len(pairs)} more")


def _show_covariance(model: Any, as_json: bool) -> None:
    values = [float(v) for v in model.eigenvalues_[: model.n_components_]]
    noise = float(model.noise_variance_)
    if as_json:
        print(json.dumps({"eigenvalues": values, "noise_variance": noise}))
        return
    print(f"covariance of rank {model.n_components_} plus noise of variance {noise:.4g}")
    for i, value in enumerate(values):
        print(f"  eigenvalue {i}: {value:.4g}")


def _plot(model: Any, options: argparse.Namespace) -> None:
    from ..plotting import ComponentsDisplay  # matplotlib is an extra

    top = _PLOTTED if options.top is None else options.top
    names = read_names(options.names)
    display = ComponentsDisplay.from_estimator(model, names, max_features=top)
    display.figure_.savefig(options.plot, dpi=150)
    most = int(np.diff(model.eigenpairs_.eigenvectors.indptr).max(initial=0))
    left = "" if most <= top else f" with the {top} largest of up to {most} loadings of each"
    more = "; --top draws more" if left and options.top is None else ""
    # Beside JSON, which somebody reads from standard output.
    print(f"plot saved as {options.plot}{left}{more}", file=sys.stderr if options.json else None)
