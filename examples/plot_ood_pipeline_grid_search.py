"""
============================================
What to search by when the unknown is sought
============================================

GradPCADetector is an estimator like others: it goes into a pipeline, and a grid search tries its
parameters and those of the network inside. But scored by what? Known rows alone do not tell how new
ones will fare. Three stand-ins for what is new are compared: classes that nothing has learned, a
digit that is kept at hand, and, as a warning, classes that only the detector has not learned.
"""

import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparse_eig import GradPCADetector

warnings.simplefilter("ignore", ConvergenceWarning)
started = time.perf_counter()
X, y = load_digits(return_X_y=True)
order = np.random.default_rng(0).permutation(len(y))
X, y = X[order], y[order]
AT_HAND, NEW = [8], [3, 9]  # an unknown digit that we have, and two that nobody has
at_hand, new = np.isin(y, AT_HAND), np.isin(y, NEW)
known = ~at_hand & ~new


def known_from_new(pipeline, X, y):
    """AUROC of the scores: digits whose class the detector has seen against others."""
    seen = pipeline[-1].classes_[pipeline[-1].class_counts_ > 0]
    return roc_auc_score(np.isin(y, seen), pipeline.score_samples(X))


settings = {
    "gradpcadetector__metric": ["kfac", "diag", "euclidean"],
    "gradpcadetector__score_function": ["snr_ratio", "ratio"],
}
network = MLPClassifier((64,), max_iter=100, random_state=0)

# %%
# **Classes left out, trained again.** Each split does without two of the known classes and without
# a third of the rows of the others, scaler and network and all; these it is scored on. Parameters
# of the network can be searched in the same way: here, how wide it is.
rows = np.flatnonzero(known)
digits = np.unique(y[rows])
splits = []
for left_out in (digits[:2], digits[2:4], digits[4:6]):
    others, out = rows[~np.isin(y[rows], left_out)], rows[np.isin(y[rows], left_out)]
    train, test = np.split(others, [2 * len(others) // 3])
    splits.append((train, np.r_[test, out]))
searches = {}
searches["classes left out, network trained again"] = GridSearchCV(
    make_pipeline(StandardScaler(), GradPCADetector(network, random_state=0)),
    settings | {"gradpcadetector__estimator__hidden_layer_sizes": [(16,), (64,)]},
    scoring=known_from_new,
    cv=splits,
    refit=False,
)

# %%
# **An unknown digit at hand.** The network is trained once and frozen, so that the search, which
# clones, does not train it again. The eights are the unknown digits.
train, held_out, test = np.split(rows, [len(rows) // 2, 3 * len(rows) // 4])
frozen = FrozenEstimator(make_pipeline(StandardScaler(), network).fit(X[train], y[train]))
searches["a digit at hand, network frozen"] = GridSearchCV(
    make_pipeline(GradPCADetector(frozen)),
    settings,
    scoring=known_from_new,
    cv=[(train, np.r_[held_out, np.flatnonzero(at_hand)])],
    refit=False,
)

# %%
# **Classes left out of the detector only**, which would be cheap: the network is frozen too. But it
# knows the classes that are to stand for unknown ones, so they are nothing like them.
splits = []
for left_out in (digits[:2], digits[2:4], digits[4:6]):
    splits.append((train[~np.isin(y[train], left_out)], held_out))
searches["classes left out, network frozen"] = GridSearchCV(
    make_pipeline(GradPCADetector(frozen)),
    settings,
    scoring=known_from_new,
    cv=splits,
    refit=False,
)

# %%
# What a search would have to know: the AUROC on digits that took no part. With four choices of the
# digits the rank correlations were +0.4 to +0.9 for the first two searches, -0.9 to +0.1 for the
# third; the first two chose the default in seven of eight searches, the third in none.
tested = np.r_[test, np.flatnonzero(new)]


def on_new_digits(search, params):
    pipeline = clone(search.estimator).set_params(**params).fit(X[train], y[train])
    return known_from_new(pipeline, X[tested], y[tested])


aurocs = {}
for name, search in searches.items():
    search.fit(X, y)
    found, params = search.cv_results_["mean_test_score"], search.cv_results_["params"]
    truth = np.array([on_new_digits(search, setting) for setting in params])
    aurocs[name] = found, truth
    chosen = ", ".join(map(str, params[found.argmax()].values()))
    print(f"{name}:\n    chosen: {chosen}; AUROC {found.max():.3f} in the search, ", end="")
    print(f"{truth[found.argmax()]:.3f} on new digits, where the best has {truth.max():.3f};")
    print(f"    rank correlation of the two over settings: {spearmanr(found, truth)[0]:+.2f}")
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# Each point is a setting. Whoever searches sees the abscissa; the ordinate is what counts. The
# pair "kfac" and "snr_ratio" is marked.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.9), sharey=True, layout="constrained")
    for panel, (name, (found, truth)) in zip(panels, aurocs.items(), strict=True):
        params = searches[name].cv_results_["params"]
        default = np.array([{"kfac", "snr_ratio"} <= set(p.values()) for p in params])
        panel.plot(found[~default], truth[~default], "o", color="#8aa6c1", label="settings")
        panel.plot(found[default], truth[default], "o", color="#2a6fbb", label="marked")
        panel.plot(found.max(), truth[found.argmax()], "o", ms=13, mfc="none", color="#d1495b")
        panel.set_title(name.replace(", ", ",\n"), loc="left", fontsize="medium")
        panel.set_xlabel("AUROC in the search (ring: chosen)")
        panel.locator_params(axis="x", nbins=5)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"AUROC on the digits {NEW[0]} and {NEW[1]}")
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig("ood_pipeline_grid_search.png", dpi=150)
    print(f"Plot saved as {Path('ood_pipeline_grid_search.png').resolve()}")

# %%
# **Conclusion.** Search by classes that neither network nor detector has seen, or by a new class
# that is at hand. Classes that only the detector has not seen are no stand-in: what looks best
# there is not what finds new digits.
