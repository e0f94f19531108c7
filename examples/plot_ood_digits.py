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
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.plotting import plot_ood_scores

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
    panels = plot_ood_scores(scores, detector.offset_)
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    title = f"Scores of digits not trained on; {', '.join(map(str, NEW))} are new"
    panels[0].set_title(title, loc="left", fontsize=8.5)
    panels[0].figure.savefig("ood_digits.png", dpi=150)
    print(f"Plot saved as {Path('ood_digits.png').resolve()}")

# %%
# **Conclusion.** Held-out digits keep the promise of at most 5 % false alarms, up to the luck of a
# few hundred digits, and seven in ten of the new ones are noticed. The probability of the predicted
# class is behind at nearly every threshold.
