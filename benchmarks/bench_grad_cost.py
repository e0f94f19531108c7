"""What GradPCA costs: fitting and scoring beside the model's own forward pass.

Dense networks of scikit-learn with random weights (the cost does not depend on what they learned)
and 4000 rows. "Counted" are the multiplications of scoring over those of a forward pass.
"""

import time

import numpy as np
from _harness import make_parser, print_machine, print_table, progress

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import DenseNetwork

# Inputs, hidden layers and classes.
NETWORKS = [(64, 64, 10), (784, 256, 128, 10), (1568, 128, 10), (300, 128, 150), (1024, 512, 20)]
DETECTORS = {
    "default": {},
    "whole means": {"mean_rank": None},
    "laplace": {"score": "laplace"},
    "diagonal metric": {"metric": "diag"},
    "paper": None,
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
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def products(network, detector):
    """Return multiplications of a forward pass, and of scoring, per sample."""
    forward = sum(w.size for w in network.weights)
    layers = [network.layer_shapes[i] for i in detector._layers]
    backward = forward - network.weights[0].size
    n_classes = len(network.classes)
    squares = {"kfac": 0.5, "diag": 0.0, "euclidean": 0.0}[detector.metric]
    whitening = sum(squares * (p * p + q * q) for p, q in layers)
    rank = detector.mean_rank
    means = 0
    for i, (p, q) in enumerate(layers):
        if detector.score == "laplace":
            continue
        if rank is not None and rank < min(p, q):
            means += n_classes * rank * (p + q)
        else:
            # At the head only the predicted class counts.
            head = i == len(layers) - 1 and detector.params != "last_hidden"
            means += n_classes * p * (1 if head else q)
    return forward, forward + backward + whitening + means


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


def main():
    parser = make_parser(__doc__, repeats=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for sizes in NETWORKS[:2] if arguments.quick else NETWORKS:
        network = make_network(sizes)
        X = rng.normal(size=(4000, sizes[0]))
        y = np.arange(len(X)) % sizes[-1]
        for name, settings in DETECTORS.items():
            progress(f"{sizes} {name}")
            forward, score, fit, detector = measure(network, settings, X, y, arguments.repeats)
            counted = products(network, detector)
            rows.append(
                (
                    "-".join(map(str, sizes)),
                    name,
                    f"{1e3 * forward:.4f}",
                    f"{score / forward:.1f}",
                    f"{counted[1] / counted[0]:.1f}",
                    f"{fit / forward:.0f}",
                )
            )
    print_machine()
    columns = ("forward, ms a row", "score / forward", "counted", "fit / forward")
    print_table(("network", "detector", *columns), rows)


if __name__ == "__main__":
    main()
