"""Check the baselines of out-of-distribution detection against other code for the same formulas.

Against scikit-learn and, where it is installed, pytorch_ood, on a network that learned the digits 0
to 6. It prints the largest differences and fails where one is more than rounding.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
from sklearn.covariance import EmpiricalCovariance
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import normalize

from sklearn_sparse_eig import GradPCADetector

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import print_table
from _ood_baselines import BASELINES, K
from bench_ood import look


def references(model, train, new):
    """Yield name, expected scores, and how they may differ: "values", "order" or "scale"."""
    neighbours = NearestNeighbors(n_neighbors=K).fit(normalize(train.features))
    distances, _ = neighbours.kneighbors(normalize(new.features))
    # The cosine of a distance between rows of unit length.
    yield "KNN-10 features", "scikit-learn", 1.0 - distances[:, -1] ** 2 / 2.0, 1.0

    labels = np.unique(train.labels)
    means = np.array([train.features[train.labels == c].mean(axis=0) for c in labels])
    within = EmpiricalCovariance(assume_centered=True)
    within.fit(train.features - means[train.labels])
    whole = EmpiricalCovariance().fit(train.features)
    nearest = np.min([within.mahalanobis(new.features - mean) for mean in means], axis=0)
    yield "Mahalanobis", "scikit-learn", -nearest, 1.0
    relative = whole.mahalanobis(new.features) - nearest
    yield "relative Mahalanobis", "scikit-learn", relative, 1.0

    control = GradPCADetector.paper(model, params="head", output="sum", n_components=None)
    control.fit(train.inputs, train.labels)
    yield "class-mean feature PCA", "GradPCADetector", control.score_samples(new.inputs), 1.0

    if importlib.util.find_spec("pytorch_ood") is not None:
        yield from _of_pytorch_ood(train, new)


def _of_pytorch_ood(train, new):
    import torch
    from pytorch_ood.detector import KNN, RMD, Mahalanobis, ViM

    def tensor(array):
        return torch.from_numpy(np.asarray(array, dtype=np.float32))

    features, labels = tensor(train.features), torch.from_numpy(train.labels)
    weight, bias = train.head
    d, n = train.features.shape[1] // 2, len(train.features)
    theirs = {
        "ViM": (ViM(None, d, tensor(weight.T), tensor(bias)), 1.0),
        "KNN-10 features": (KNN(None, k=K), None),
        # Theirs has the sum of squares for the mean of squares, and half for the whole.
        "Mahalanobis": (Mahalanobis(None), 2.0 * n),
        "relative Mahalanobis": (RMD(None), float(n)),
    }
    for name, (detector, scale) in theirs.items():
        scores = -np.asarray(
            detector.fit_features(features, labels).predict_features(tensor(new.features)),
            dtype=np.float64,
        )
        if scale is None:
            scores, scale = 1.0 - scores**2 / 2.0, 1.0
        yield name, "pytorch_ood", scores, scale


def main():
    X, y = load_digits(return_X_y=True)
    X, known = X / 16.0, y < 7
    # Smooth units: none is dead, so that covariances have inverses.
    model = MLPClassifier((32,), activation="tanh", max_iter=300, random_state=0)
    model.fit(X[known], y[known])
    train, new = look(model, X[known], y[known]), look(model, X[~known])
    rows = []
    for name, source, expected, scale in references(model, train, new):
        found = BASELINES[name](train)(new)
        error = np.abs(found - scale * expected).max() / np.abs(found).max()
        rows.append([name, source, f"{error:.0e}"])
        assert error < 1e-3, f"{name} differs from that of {source} by {error:.1e}"
    print_table(["baseline", "against", "largest relative difference"], rows)


if __name__ == "__main__":
    main()
