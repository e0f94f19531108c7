"""What GradPCA costs: fitting and scoring beside the model's own forward pass.

Dense networks of scikit-learn with random weights, whose class means have full rank: what networks
have learned can only make them cheaper. 4000 rows, on one thread; times are of the processor, so
that other work on the machine disturbs them less. "Counted" are the multiplications that scoring
takes at least as it is done, over those of a forward pass (_multiplications.py). A second table has
convolutional networks, where torch is installed.
"""

import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import DenseNetwork

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

import _multiplications
from _harness import make_parser, print_machine, print_table, progress

# Inputs, hidden layers and classes.
NETWORKS = [(64, 64, 10), (784, 256, 128, 10), (1568, 128, 10), (300, 128, 150), (1024, 512, 20)]
DETECTORS = {
    "default": {},
    "snr_ratio": {"score_function": "snr_ratio"},
    "snr_ratio, whole means": {"score_function": "snr_ratio", "mean_rank": None},
    "laplace": {"score_function": "laplace"},
    "diagonal metric": {"metric": "diag"},
    "paper": None,
}
# Of networks with convolutions; "dense layers" leaves these out.
TORCH_DETECTORS = {
    "default": {},
    "snr_ratio": {"score_function": "snr_ratio"},
    "diagonal metric": {"metric": "diag"},
    "dense layers": {"params": "dense"},
}


def make_network(sizes, seed=0):
    rng = np.random.default_rng(seed)
    weights = [
        rng.normal(size=(p, q)) / np.sqrt(p) for p, q in zip(sizes[:-1], sizes[1:], strict=True)
    ]
    return DenseNetwork(
        weights, [np.zeros(q) for q in sizes[1:]], "relu", classes=np.arange(sizes[-1])
    )


def fastest(function, repeats):
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def products(network, detector, rows):
    """Return multiplications of scoring over those of a forward pass."""
    forward = sum(w.size for w in network.weights)
    backward = forward - network.weights[0].size
    return _multiplications.of_score(detector, rows, forward, backward) / forward


def measure(network, settings, X, y, repeats):
    """Return seconds of a forward pass, scoring and fitting a row, and the fitted detector."""
    if settings is None:
        detector = GradPCADetector.paper(network)
    else:
        detector = GradPCADetector(network, **settings)
    batch = X[:4000]
    # Scoring a row makes the subspace, which is part of fitting.
    fit = fastest(lambda: detector.partial_fit(X, y).score_samples(X[:1]), 1) / len(X)
    forward = fastest(lambda: network.forward(batch), repeats) / len(batch)
    score = fastest(lambda: detector.score_samples(batch), repeats) / len(batch)
    return forward, score, fit, detector


def torch_networks():
    """Return (name, module, shape of a row, number of rows) of convolutional networks."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before, after, stride):
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.Conv2d(after, after, 3, padding=1, bias=False),
                nn.BatchNorm2d(after),
            )
            self.skip = nn.Identity()
            if stride > 1 or before != after:
                self.skip = nn.Sequential(
                    nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
                )

        def forward(self, x):
            return torch.relu(self.body(x) + self.skip(x))

    def layers(before, after, stride):
        convolution = nn.Conv2d(before, after, 3, stride, padding=1)
        return convolution, nn.BatchNorm2d(after), nn.ReLU()

    def head(n_inputs):
        return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_inputs, 10)

    torch.manual_seed(0)
    small = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    plain = nn.Sequential(*layers(3, 32, 1), *layers(32, 64, 2), *layers(64, 128, 2), *head(128))
    residual = nn.Sequential(
        *layers(3, 32, 1), Block(32, 32, 1), Block(32, 64, 2), Block(64, 128, 2), *head(128)
    )
    return [
        ("2 convolutions to 32 channels, 28 x 28", small.eval(), (1, 28, 28), 500),
        ("3 convolutions to 128, BatchNorm, 32 x 32", plain.eval(), (3, 32, 32), 300),
        ("3 residual blocks to 128, 16 x 16", residual.eval(), (3, 16, 16), 300),
    ]


def measure_torch(quick, repeats):
    """Return the rows of the second table."""
    import torch

    torch.set_num_threads(1)
    rng, rows = np.random.default_rng(0), []
    for name, module, shape, n in torch_networks()[: 1 if quick else None]:
        X, y = rng.normal(size=(n, *shape)).astype(np.float32), np.arange(n) % 10
        tensor = torch.as_tensor(X)
        dense = [key for key, m in module.named_modules() if isinstance(m, torch.nn.Linear)]
        for label, settings in TORCH_DETECTORS.items():
            progress(f"{name} {label}")
            settings = {"params": dense} if "params" in settings else settings
            detector = GradPCADetector(module, **settings)
            start = time.process_time()
            detector.partial_fit(X, y).score_samples(X[:1])
            fit = time.process_time() - start

            def forward(module=module, tensor=tensor):
                with torch.no_grad():
                    module(tensor)

            # In turns, so that a busy machine slows both.
            times = [
                (fastest(forward, 1), fastest(lambda d=detector, X=X: d.score_samples(X), 1))
                for _ in range(repeats)
            ]
            once, score = np.min(times, axis=0)
            forward_pass = _multiplications.of_forward(module, X[:2])
            counted = _multiplications.of_score(detector, X[:2], forward_pass) / forward_pass
            numbers = f"{1e3 * once / n:.3f}", f"{score / once:.1f}", f"{counted:.1f}"
            rows.append((name, label, *numbers, f"{fit / once:.0f}"))
    return rows


def main():
    parser = make_parser(__doc__, repeats=5)
    arguments = parser.parse_args()
    threadpool_limits(1)
    rng = np.random.default_rng(0)
    rows = []
    for sizes in NETWORKS[:2] if arguments.quick else NETWORKS:
        network = make_network(sizes)
        X = rng.normal(size=(4000, sizes[0]))
        y = np.arange(len(X)) % sizes[-1]
        for name, settings in DETECTORS.items():
            progress(f"{sizes} {name}")
            forward, score, fit, detector = measure(network, settings, X, y, arguments.repeats)
            counted = products(network, detector, X[:2])
            rows.append(
                (
                    "-".join(map(str, sizes)),
                    name,
                    f"{1e3 * forward:.4f}",
                    f"{score / forward:.1f}",
                    f"{counted:.1f}",
                    f"{fit / forward:.0f}",
                )
            )
    print_machine()
    columns = ("forward, ms a row", "score / forward", "counted", "fit / forward")
    print_table(("network", "detector", *columns), rows)
    if find_spec("torch") is None:
        return
    table = measure_torch(arguments.quick, arguments.repeats)
    print_table(("torch network", "detector", *columns), table)


if __name__ == "__main__":
    main()
