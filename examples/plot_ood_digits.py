"""
==========================================
Digits that the classifier was never shown
==========================================

A network learns seven of the ten digits. Shown one of the other three, it has to answer with one
it knows, and often with confidence. The gradient of its largest logit tells: GradPCADetector scores
how far it is from those of the known digits, and held-out digits set the threshold.
"""

import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector

NEW = [3, 4, 7]
started = time.perf_counter()
X, y = load_digits(return_X_y=True)
X, known = X / 16.0, ~np.isin(y, NEW)
X_new = X[~known]
X_train, X_rest, y_train, y_rest = train_test_split(
    X[known], y[known], test_size=0.5, stratify=y[known], random_state=0
)
X_held_out, X_known, _, y_known = train_test_split(X_rest, y_rest, random_state=0, train_size=0.5)
model = MLPClassifier((64,), max_iter=1000, random_state=0).fit(X_train, y_train)
print(f"accuracy on known digits: {model.score(X_known, y_known):.3f}")

# %%
# The detector uses the network as it is. Held-out digits, which neither has seen, set the
# threshold: at most one known digit in twenty is to be rejected.
detectors = {
    "GradPCA, K-FAC metric": GradPCADetector(model).fit(X_train, y_train),
    "GradPCA, the paper's settings": GradPCADetector.paper(model).fit(X_train, y_train),
}
scores = {
    name: [detector.score_samples(rows) for rows in (X_known, X_new)]
    for name, detector in detectors.items()
}
scores["probability of the predicted class"] = [
    model.predict_proba(rows).max(axis=1) for rows in (X_known, X_new)
]
truth = np.repeat([1, 0], [len(X_known), len(X_new)])
aurocs = {name: roc_auc_score(truth, np.concatenate(pair)) for name, pair in scores.items()}
for name, auroc in aurocs.items():
    print(f"{name + ':':36} AUROC {auroc:.3f}")

detector = detectors["GradPCA, K-FAC metric"].calibrate(X_held_out)
print(f"known digits rejected: {(detector.predict(X_known) == -1).mean():.1%} (at most 5% asked)")
print(f"new digits rejected: {(detector.predict(X_new) == -1).mean():.1%}")
print(f"median p-value of new digits: {np.median(detector.p_values(X_new)):.4f}")
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# The scores on both sides of the threshold, and what any other threshold would give.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    inside, outside = scores["GradPCA, K-FAC metric"]
    bins = np.geomspace(np.quantile(outside, 0.01), inside.max(), 40)
    name = f"new digits ({', '.join(map(str, NEW))})"
    for values, color, label in [(inside, "#2a6fbb", "known digits"), (outside, "#d1495b", name)]:
        # As shares, so that sides of different size can be compared.
        shares = np.full(len(values), 1.0 / len(values))
        values = values.clip(bins[0], None)
        left.hist(values, bins, weights=shares, color=color, alpha=0.7, label=label)
    left.set_xscale("log")
    left.axvline(detector.offset_, color="0.2", linestyle="--", label="threshold, from held-out")
    left.set_xlabel("score: higher is more like the known digits")
    left.set_yticks([])
    left.legend(frameon=False, loc="upper left")
    left.set_title("Scores of digits not trained on", loc="left")
    colors = ["#2a6fbb", "#8aa6c1", "0.6"]
    for (name, pair), color in zip(scores.items(), colors, strict=True):
        rejected, kept, _ = roc_curve(truth, np.concatenate(pair))
        right.plot(rejected, kept, color=color, label=f"{name} ({aurocs[name]:.3f})")
    right.set_xlabel("new digits taken for known")
    right.set_ylabel("known digits taken for known")
    right.legend(frameon=False, loc="lower right")
    right.set_title("All thresholds (area under the curve)", loc="left")
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    left.spines["left"].set_visible(False)
    figure.savefig("ood_digits.png", dpi=150)
    print(f"Plot saved as {Path('ood_digits.png').resolve()}")
