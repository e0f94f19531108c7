"""Show the components of a model, with names and variances.

A sketch has no components of its own: they are recovered with the numbers given.
"""

import argparse
import json
from typing import Any

from ..sparse_pca import SketchedSparsePCA
from ..streams import load
from ._source import read_names

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
    variances, shares = model.explained_variance_, model.explained_variance_ratio_
    if as_json:
        components = [
            {"variance": float(v), "share": float(s), "loadings": [[n, x] for n, x in pairs]}
            for pairs, v, s in zip(described, variances, shares, strict=True)
        ]
        print(json.dumps({"n_samples": model.n_samples_seen_, "components": components}))
        return
    for i, (pairs, variance, share) in enumerate(zip(described, variances, shares, strict=True)):
        print(f"component {i + 1}: variance {variance:.4g}, {share:.2%} of the total")
        width = max((len(str(name)) for name, _ in pairs), default=0)
        for name, loading in pairs:
            print(f"  {str(name):<{width}}  {loading:+.3f}")


def _show_covariance(model: Any, as_json: bool) -> None:
    values = [float(v) for v in model.eigenvalues_[: model.n_components_]]
    noise = float(model.noise_variance_)
    if as_json:
        print(json.dumps({"eigenvalues": values, "noise_variance": noise}))
        return
    print(f"covariance of rank {model.n_components_} plus noise of variance {noise:.4g}")
    for i, value in enumerate(values):
        print(f"  eigenvalue {i + 1}: {value:.4g}")


def _plot(model: Any, options: argparse.Namespace) -> None:
    from ..plotting import ComponentsDisplay  # matplotlib is an extra

    display = ComponentsDisplay.from_estimator(model, read_names(options.names))
    display.figure_.savefig(options.plot, dpi=150)
    print(f"plot saved as {options.plot}")
