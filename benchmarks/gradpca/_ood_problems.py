"""The problems of the comparison of detectors: rows, known and new, and models trained on them."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path

N_TRAIN, N_HELD_OUT, N_TEST, N_NEW = 8000, 1000, 2000, 1000
HAS_TORCH = importlib.util.find_spec("torch") is not None


# ------------------------------------------------------------------------------------------- data


@dataclass
class Rows:
    """Known rows in three parts, and new ones by name."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_held_out: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    new: dict


def digits_minus_3(rng):
    X, y = load_digits(return_X_y=True)
    return _leave_out(rng, X / 16.0, y, None, None, n_classes=3)


def images(name, others):
    """Return what draws rows of a data set, and new ones: others, noise, shuffled pixels."""

    def draw(rng):
        X, y, X_test, y_test = _load_images(name)
        train = rng.permutation(len(X))[: N_TRAIN + N_HELD_OUT]
        test = rng.permutation(len(X_test))[: N_TEST + N_NEW]
        test, permuted = test[:N_TEST], test[N_TEST:]
        new = {other: _some(rng, _load_images(other)[2]) for other in others}
        new["uniform noise"] = rng.random((N_NEW, X.shape[1]), dtype=np.float32)
        new["permuted pixels"] = X_test[permuted][:, rng.permutation(X.shape[1])]
        kept, held_out = train[:N_TRAIN], train[N_TRAIN:]
        return Rows(X[kept], y[kept], X[held_out], X_test[test], y_test[test], new)

    return draw


def images_minus_2(name):
    return lambda rng: _leave_out(rng, *_load_images(name), n_classes=2)


def clinc150(rng):
    """Questions for 150 intents, and those that are out of scope; two thirds are trained on."""
    counts = sp.csr_array(sp.load_npz(data_path("clinc150", "counts.npz")), dtype=np.float64)
    with np.load(data_path("clinc150", "meta.npz"), allow_pickle=False) as meta:
        y, part, new = meta["y"], meta["part"], meta["is_oos"]
    known = [np.flatnonzero((part == name) & ~new) for name in ("train", "val", "test")]
    y = np.unique(np.where(new, y[known[0][0]], y), return_inverse=True)[1]
    train, _ = train_test_split(
        known[0], train_size=10_000, stratify=y[known[0]], random_state=int(rng.integers(2**31))
    )
    held_out, test = _some(rng, known[1], N_HELD_OUT), _some(rng, known[2], N_TEST)
    out_of_scope = np.flatnonzero((part == "test") & new)
    # Words are weighed and combined as the training rows say.
    vectors = make_pipeline(TfidfTransformer(sublinear_tf=True), TruncatedSVD(300, random_state=0))
    X = vectors.fit(counts[train]).transform(counts)
    scope = {"out of scope": X[out_of_scope]}
    return Rows(X[train], y[train], X[held_out], X[test], y[test], scope)


def _load_images(name):
    if name == "notmnist":
        with np.load(data_path(name, "notmnist_10k.npz"), allow_pickle=False) as arrays:
            return None, None, _scaled(arrays["X"]), arrays["y"]
    with np.load(data_path(name, f"{name}.npz"), allow_pickle=False) as arrays:
        X, X_test = _scaled(arrays["X_train"]), _scaled(arrays["X_test"])
        return X, arrays["y_train"], X_test, arrays["y_test"]


def _scaled(pixels):
    return pixels.astype(np.float32) / np.float32(255)


def _some(rng, X, n=N_NEW):
    return X[rng.permutation(len(X))[:n]]


def _leave_out(rng, X, y, X_test, y_test, n_classes):
    """Leave classes out; without test rows a quarter of the rows are, and a quarter held out."""
    left_out = rng.permutation(np.unique(y))[:n_classes]
    known = rng.permutation(np.flatnonzero(~np.isin(y, left_out)))
    if X_test is None:
        X_test, y_test = X, y
        train, held_out, test = np.split(known, [len(known) // 2, 3 * len(known) // 4])
    else:
        train, held_out = np.split(known[: N_TRAIN + N_HELD_OUT], [N_TRAIN])
        test = _some(rng, np.flatnonzero(~np.isin(y_test, left_out)), N_TEST)
    new = {"left out": _some(rng, X_test[np.isin(y_test, left_out)])}
    kept = np.setdiff1d(y, left_out)
    y, y_test = np.searchsorted(kept, y), np.searchsorted(kept, y_test)
    return Rows(X[train], y[train], X[held_out], X_test[test], y_test[test], new)


# ----------------------------------------------------------------------------------------- models


def mlp(*hidden, max_iter=20):
    return lambda rows, seed: MLPClassifier(hidden, max_iter=max_iter, random_state=seed).fit(
        rows.X_train, rows.y_train
    )


def logistic(C=1.0):
    return lambda rows, seed: LogisticRegression(C=C, max_iter=200).fit(rows.X_train, rows.y_train)


def cnn(rows, seed, n_epochs=6):
    """Two convolutions and two dense layers in torch; rows become images."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    for name in ("X_train", "X_held_out", "X_test"):
        setattr(rows, name, _as_images(getattr(rows, name)))
    rows.new = {name: _as_images(X) for name, X in rows.new.items()}
    body = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU()]
    head = nn.Linear(128, int(rows.y_train.max()) + 1)
    module = nn.Sequential(*body, head)
    X, y = torch.from_numpy(rows.X_train), torch.from_numpy(rows.y_train.astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(X)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X[batch]), y[batch]).backward()
            optimizer.step()
    return module.eval()


def _as_images(X):
    return np.ascontiguousarray(X, dtype=np.float32).reshape(-1, 1, 28, 28)


@dataclass(frozen=True)
class Problem:
    """What draws the rows, what trains the model, and of which kind the new rows are."""

    title: str
    draw: object
    train: object
    far: bool


MNIST, FASHION = "mnist", "fashion_mnist"
PROBLEMS = {
    "digits_minus_3": Problem(
        "digits minus 3, MLP", digits_minus_3, mlp(64, max_iter=300), far=False
    ),
    "mnist_mlp": Problem("MNIST MLP", images(MNIST, [FASHION, "notmnist"]), mlp(256, 128), True),
    "mnist_logreg": Problem(
        "MNIST LogReg", images(MNIST, [FASHION, "notmnist"]), logistic(), far=True
    ),
    "fashion_mlp": Problem(
        "Fashion MLP", images(FASHION, [MNIST, "notmnist"]), mlp(128, 64), far=True
    ),
    "fashion_cnn": Problem("Fashion CNN", images(FASHION, [MNIST, "notmnist"]), cnn, far=True),
    # Layers wider than a factor of the metric may be: those factors are kept diagonal.
    "fashion_wide": Problem(
        "Fashion MLP, 5000 wide",
        images(FASHION, [MNIST, "notmnist"]),
        mlp(5000, 64, max_iter=6),
        far=True,
    ),
    "mnist_minus_2": Problem("MNIST minus 2, MLP", images_minus_2(MNIST), mlp(256, 128), far=False),
    "fashion_minus_2": Problem(
        "Fashion minus 2, MLP", images_minus_2(FASHION), mlp(128, 64), far=False
    ),
    "fashion_cnn_minus_2": Problem("Fashion minus 2, CNN", images_minus_2(FASHION), cnn, far=False),
    "clinc_logreg": Problem("CLINC150 LogReg", clinc150, logistic(C=10.0), far=False),
    "clinc_mlp": Problem("CLINC150 MLP", clinc150, mlp(128, max_iter=30), far=False),
}
