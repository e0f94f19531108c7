"""
=========================================================
A threshold for unknown inputs, and what it may be set by
=========================================================

Whoever rejects inputs wants to know how many good ones go with the bad. The 5 % quantile of the
training scores does not tell: the network knows these rows, and new ones score lower. Held-out
rows do, with a guarantee, and give each new row a p-value. Digits 7, 8 and 9 are the unknown ones.
"""

import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector

RATE, N_MODELS, N_DRAWS, N_HELD_OUT = 0.05, 6, 20, 300
started = time.perf_counter()
X, y = load_digits(return_X_y=True)
X, known = X / 16.0, y < 7
X_new = X[~known]

# %%
# Several splits, each with a network of its own; for each network several draws of the held-out
# rows from those it has not seen. What is left of these tells the rate of false alarms. Before it
# is calibrated, the detector warns that it will reject too many, which is what is measured here.
warnings.filterwarnings("ignore", "The threshold is a quantile of the training scores")
rates = {"training": [], "held out": []}
rejected_new = {"training": [], "held out": []}
for seed in range(N_MODELS):
    X_train, X_rest, y_train, _ = train_test_split(
        X[known], y[known], test_size=0.6, stratify=y[known], random_state=seed
    )
    model = MLPClassifier((32,), max_iter=200, tol=1e-3, random_state=seed).fit(X_train, y_train)
    detector = GradPCADetector(model, contamination=RATE).fit(X_train, y_train)
    rng = np.random.default_rng(seed)
    for draw in range(N_DRAWS):
        order = rng.permutation(len(X_rest))
        X_held_out, X_test = X_rest[order[:N_HELD_OUT]], X_rest[order[N_HELD_OUT:]]
        if draw == 0:
            rates["training"].append((detector.predict(X_test) == -1).mean())
            rejected_new["training"].append((detector.predict(X_new) == -1).mean())
        detector.calibrate(X_held_out)
        rates["held out"].append((detector.predict(X_test) == -1).mean())
        rejected_new["held out"].append((detector.predict(X_new) == -1).mean())

for source, found in rates.items():
    print(
        f"threshold from {source + ' rows:':15} {np.mean(found):5.1%} of known digits rejected "
        f"({min(found):.1%} to {max(found):.1%}), {np.mean(rejected_new[source]):.0%} of new ones"
    )

# %%
# The guarantee is for the mean over draws. One draw of n held-out rows, tested on m others, is off
# by about this much.
deviation = np.sqrt(RATE * (1 - RATE) * (1 / N_HELD_OUT + 1 / len(X_test)))
print(f"standard deviation for one draw: {deviation:.1%} expected, ", end="")
print(f"{np.std(rates['held out']):.1%} found")

# %%
# P-values are thresholds for all rates at once: at most a share alpha of known rows has one of at
# most alpha, whatever alpha is.
p_known, p_new = detector.p_values(X_test), detector.p_values(X_new)
for alpha in (0.01, 0.05, 0.2):
    print(
        f"p-value at most {alpha}: {(p_known <= alpha).mean():5.1%} of known digits, "
        f"{(p_new <= alpha).mean():5.1%} of new ones"
    )
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# Left, the rates over splits and draws; right, one detector's p-values, which for known digits
# should lie on the diagonal or below.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    colors = {"training": "#d1495b", "held out": "#2a6fbb"}
    for height, (source, found) in enumerate(rates.items()):
        spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(found))
        left.plot(100 * np.array(found), height + spread, "o", color=colors[source], alpha=0.5)
        left.plot([100 * np.mean(found)] * 2, [height - 0.35, height + 0.35], color="0.1")
    left.axvline(100 * RATE, color="0.4", linestyle="--")
    left.set_yticks(range(2), [f"threshold from\n{source} rows" for source in rates])
    left.set_ylim(-0.6, 1.6)
    left.set_xlim(0, None)
    left.set_xlabel("known digits rejected, % (bars: means; dashed: asked)")
    left.set_title("False alarms over splits and draws", loc="left")
    alphas = np.linspace(0.0, 1.0, 201)
    for values, color, label in [(p_known, "#2a6fbb", "known"), (p_new, "#d1495b", "new")]:
        shares = [(values <= alpha).mean() for alpha in alphas]
        right.step(alphas, shares, where="post", color=color, label=f"{label} digits")
    right.plot([0, 1], [0, 1], color="0.4", linestyle="--", label="uniform")
    right.set_xlabel("alpha")
    right.set_ylabel("share of p-values up to alpha")
    right.legend(frameon=False, loc="lower right")
    right.set_title("P-values", loc="left")
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig("ood_threshold.png", dpi=150)
    print(f"Plot saved as {Path('ood_threshold.png').resolve()}")

# %%
# **Conclusion.** Training rows promise 5 % of false alarms and give twice that. Held-out rows keep
# the promise in the mean over draws; a single draw is off by 1.6 % in the standard deviation, as
# the formula says.
