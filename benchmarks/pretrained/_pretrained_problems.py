"""Problems on frozen pretrained features, and the same rows from scratch, pixels or words.

The seed draws the rows, the classes left out and the start of training, as in the problems of
gradpca/bench_ood.py. A problem on pixels or words has the rows of the one on features.
"""

import csv
import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share
sys.path.insert(0, str(Path(__file__).parents[1] / "gradpca"))

from _encoders import (
    audio_features,
    embed,
    has_audio,
    has_images,
    has_text,
    image_features,
    kept,
)
from _harness import data_path
from _ood_problems import N_HELD_OUT, N_NEW, N_TEST, N_TRAIN, Rows, logistic, mlp
from _patches import frames, has_patches

N_LEFT_OUT_INTENTS, N_LEFT_OUT, N_LEFT_OUT_INSTRUMENTS = 30, 2, 5
# Images of each set that features are computed of: the first ones for training and for tests.
POOLS = {
    "fashion_mnist": (6_000, 2_000),
    "mnist": (0, 1_000),
    "notmnist": (0, 1_000),
    "letters": (6_000, 2_000),  # of notMNIST too, where it is the known set
}
# The last ones of each set are new where it is not the known one.
N_OTHER = 1_000


class Sources:
    """Features, pixels and texts, each loaded when it is first asked for.

    Parameters
    ----------
    folder : Path or None
        Where features are kept.
    """

    def __init__(self, folder):
        self.folder, self._loaded = folder, {}

    def __getitem__(self, name):
        if name not in self._loaded:
            self._loaded[name] = self._load(*name)
        return self._loaded[name]

    def _load(self, what, name):
        if what == "queries":
            with gzip.open(data_path("clinc150", "clinc150.csv.gz"), "rt", encoding="utf-8") as f:
                rows = list(csv.DictReader(f))
            return tuple(np.array([row[k] for row in rows]) for k in ("text", "intent", "part"))
        if what == "embeddings":
            texts = self["queries", name][0]
            return kept(self.folder, "clinc150_minilm", lambda: embed(texts.tolist()))
        if what == "pixels":
            return _pixels(name)
        if what == "frames":
            return frames()
        if what == "tones":
            return kept(
                self.folder, f"{name}_crepe", lambda: audio_features(self["frames", name][0])
            )
        pixels, _ = self["pixels", name]
        return kept(self.folder, f"{name}_lite0", lambda: image_features(pixels))


def _pixels(name):
    """Return the pixels of a pool, training images first, and the classes."""
    n_train, n_test = POOLS[name]
    if name in ("notmnist", "letters"):
        first = sum(POOLS["notmnist"]) if name == "letters" else 0
        with np.load(data_path("notmnist", "notmnist_10k.npz"), allow_pickle=False) as arrays:
            X, y = (arrays[k][first : first + n_train + n_test] for k in "Xy")
    else:
        with np.load(data_path(name, f"{name}.npz"), allow_pickle=False) as arrays:
            X, y = (
                np.concatenate([arrays[f"{k}_train"][:n_train], arrays[f"{k}_test"][:n_test]])
                for k in "Xy"
            )
    return X.reshape(len(X), -1).astype(np.float32) / np.float32(255), y


def images(space, name, others):
    """Return what draws rows of a set with two classes left out, and of other sets."""

    def draw(rng, sources):
        X, (_, y) = sources[space, name], sources["pixels", name]
        X = X[0] if space == "pixels" else X
        left_out = rng.permutation(np.unique(y))[:N_LEFT_OUT]
        train, test = np.split(np.arange(len(y)), [POOLS[name][0]])
        train = rng.permutation(train[~np.isin(y[train], left_out)])
        n_held_out = min(N_HELD_OUT, len(train) // 9)
        train = train[: N_TRAIN + n_held_out]
        train, held_out = np.split(train, [len(train) - n_held_out])
        known = rng.permutation(test[~np.isin(y[test], left_out)])[:N_TEST]
        new = {"left out": X[rng.permutation(test[np.isin(y[test], left_out)])[:N_NEW]]}
        for other in others:
            Z = sources[space, other]
            Z = Z[0] if space == "pixels" else Z
            new[other] = Z[-N_OTHER:][rng.permutation(N_OTHER)[:N_NEW]]
        codes = np.searchsorted(np.setdiff1d(y, left_out), y)
        return Rows(X[train], codes[train], X[held_out], X[known], codes[known], new)

    return draw


def queries(space):
    """Return what draws queries of 120 intents, of 30 left out, and out of scope."""

    def draw(rng, sources):
        texts, intents, part = sources["queries", "clinc150"]
        names = np.setdiff1d(intents, ["oos"])
        left_out = rng.permutation(names)[:N_LEFT_OUT_INTENTS]
        known, new = ~np.isin(intents, [*left_out, "oos"]), np.isin(intents, left_out)
        rows = [
            rng.permutation(np.flatnonzero(known & (part == p))) for p in ("train", "val", "test")
        ]
        train, held_out, test = rows[0], rows[1][:N_HELD_OUT], rows[2][:N_TEST]
        if space == "words":
            vectors = make_pipeline(
                TfidfVectorizer(sublinear_tf=True), TruncatedSVD(300, random_state=0)
            )
            X = vectors.fit(texts[train]).transform(texts).astype(np.float64)
        else:
            X = sources["embeddings", "clinc150"].astype(np.float64)
        codes = np.searchsorted(np.setdiff1d(names, left_out), intents)
        others = {
            "out of scope": X[(intents == "oos") & (part == "test")],
            "left out": X[rng.permutation(np.flatnonzero(new))[:N_NEW]],
        }
        return Rows(X[train], codes[train], X[held_out], X[test], codes[test], others)

    return draw


def instruments(rng, sources):
    """Draw frames of instruments, of five that are left out, and of drums.

    Frames for training and for tests are of the same notes, but none is in both.
    """
    X, (_, y) = sources["tones", "freepats"], sources["frames", "freepats"]
    left_out = rng.permutation(y.max() + 1)[:N_LEFT_OUT_INSTRUMENTS]
    known = rng.permutation(np.flatnonzero((y >= 0) & ~np.isin(y, left_out)))
    train, held_out, test = np.split(known, [6 * len(known) // 10, 7 * len(known) // 10])
    new = {"left out": np.isin(y, left_out), "drums": y < 0}
    new = {kind: X[rng.permutation(np.flatnonzero(rows))[:N_NEW]] for kind, rows in new.items()}
    codes = np.searchsorted(np.unique(y[known]), y)
    X = X.astype(np.float64)
    return Rows(X[train], codes[train], X[held_out], X[test], codes[test], new)


def has_tones():
    return has_audio() and has_patches()


def always():
    return True


@dataclass(frozen=True)
class Problem:
    """What draws the rows and trains the model, and whether the features are pretrained."""

    title: str
    draw: object
    train: object
    pretrained: bool
    is_there: object = has_images


FASHION = "fashion_mnist", ["mnist", "notmnist"]
LETTERS = "letters", ["mnist", "fashion_mnist"]
PROBLEMS = {
    "text_logreg": Problem(
        "CLINC150, MiniLM + LogReg", queries("embeddings"), logistic(10.0), True, has_text
    ),
    "text_mlp": Problem(
        "CLINC150, MiniLM + MLP", queries("embeddings"), mlp(128, max_iter=30), True, has_text
    ),
    "words_logreg": Problem(
        "CLINC150, words + LogReg", queries("words"), logistic(10.0), False, always
    ),
    "words_mlp": Problem(
        "CLINC150, words + MLP", queries("words"), mlp(128, max_iter=30), False, always
    ),
    "fashion_linear": Problem(
        "Fashion, Lite0 + LogReg", images("features", *FASHION), logistic(), True
    ),
    "fashion_mlp": Problem("Fashion, Lite0 + MLP", images("features", *FASHION), mlp(256), True),
    "fashion_pixels": Problem(
        "Fashion, pixels + MLP", images("pixels", *FASHION), mlp(256), False, always
    ),
    "notmnist_linear": Problem(
        "notMNIST, Lite0 + LogReg", images("features", *LETTERS), logistic(), True
    ),
    "notmnist_mlp": Problem("notMNIST, Lite0 + MLP", images("features", *LETTERS), mlp(256), True),
    "audio_linear": Problem(
        "Freepats, CREPE + LogReg", instruments, logistic(10.0), True, has_tones
    ),
    "audio_mlp": Problem(
        "Freepats, CREPE + MLP", instruments, mlp(128, max_iter=200), True, has_tones
    ),
}
