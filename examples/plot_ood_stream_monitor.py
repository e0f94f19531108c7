"""
===========================================
Watching a stream for inputs that are new
===========================================

A classifier of the digits 0 to 6 is at work. Its detector has learned batch by batch, and held-out
digits have calibrated it. After a while the digits 7, 8 and 9 begin to come, rarely at first. No
label tells; the p-values do.
"""

import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector

RATE, BATCH, N_BEFORE, N_AFTER = 0.05, 20, 12, 16
started = time.perf_counter()
rng = np.random.default_rng(0)
X, y = load_digits(return_X_y=True)
X, order = X / 16.0, rng.permutation(len(y))
known, new = order[y[order] < 7], order[y[order] >= 7]
train, held_out, waiting = np.split(known, [450, 750])

model = MLPClassifier((64,), max_iter=1000, random_state=0).fit(X[train], y[train])
detector = GradPCADetector(model, contamination=RATE)
for rows in np.array_split(train, 9):
    detector.partial_fit(X[rows], y[rows])
detector.calibrate(X[held_out])
print(
    f"{detector.n_samples_seen_} digits seen in 9 batches, calibrated by {len(held_out)} others; "
    f"classes of {min(detector.class_counts_)} to {max(detector.class_counts_)}"
)

# %%
# The share of new digits is zero for a while, then rises to 60 %. A batch raises an alarm where
# more p-values are small than chance allows, four standard deviations above the rate: those of a
# count in the batch, and of the draw of held-out digits, which all batches share.
shares = np.r_[np.zeros(N_BEFORE), np.linspace(0.04, 0.6, N_AFTER)]
limit = RATE + 4 * np.sqrt(RATE * (1 - RATE) * (1 / BATCH + 1 / len(held_out)))
p_values, found = [], []
for share in shares:
    n_new = int(round(share * BATCH))
    rows, waiting = np.r_[waiting[: BATCH - n_new], new[:n_new]], waiting[BATCH - n_new :]
    new = new[n_new:]
    p_values.append(detector.p_values(X[rows]))
    found.append((p_values[-1] <= RATE).mean())
p_values, found = np.array(p_values), np.array(found)

alarms = np.flatnonzero(found > limit)
print(f"before: {found[:N_BEFORE].mean():.1%} of the digits below {RATE}, {RATE:.0%} promised")
print(f"false alarms: {(alarms < N_BEFORE).sum()} of {N_BEFORE} batches (limit {limit:.1%})")
first = alarms[alarms >= N_BEFORE][0]
print(f"drift begins at batch {N_BEFORE}, alarm at batch {first}, when {shares[first]:.0%} are new")
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# Each dot is a digit; the line is what a monitor would show.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(9, 5.4), sharex=True, layout="constrained")
    when = np.arange(len(shares))
    spread = rng.uniform(-0.3, 0.3, p_values.shape)
    is_new = np.arange(BATCH) >= BATCH - np.round(shares * BATCH)[:, None]
    for chosen, color, label in [(~is_new, "#2a6fbb", "known"), (is_new, "#d1495b", "new")]:
        times, values = (when[:, None] + spread)[chosen], p_values[chosen]
        upper.plot(times, values, ".", color=color, alpha=0.6, label=f"{label} digits")
    upper.axhline(RATE, color="0.4", linestyle="--")
    upper.set_yscale("log")
    upper.set_ylabel("p-value")
    upper.legend(frameon=False, loc="lower left")
    upper.set_title("P-values of the digits, batch by batch", loc="left")
    lower.plot(when, 100 * found, "o-", color="#2a6fbb", label=f"p-value at most {RATE}")
    lower.plot(when, 100 * shares, color="#d1495b", label="new digits (nobody knows)")
    lower.axhline(100 * limit, color="0.4", linestyle="--", label="limit")
    lower.plot(alarms, 100 * found[alarms], "o", color="#d1495b", label="alarm")
    lower.axvline(N_BEFORE - 0.5, color="0.7")
    lower.set_xlabel("batch")
    lower.set_ylabel("% of the batch")
    lower.legend(frameon=False, loc="upper left")
    for panel in (upper, lower):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig("ood_stream_monitor.png", dpi=150)
    print(f"Plot saved as {Path('ood_stream_monitor.png').resolve()}")

# %%
# **Conclusion.** P-values stay uniform for as long as nothing changes, so a share is all there is
# to watch. The alarm comes when about a quarter of a batch of twenty is new; in larger batches a
# smaller share is noticed.
