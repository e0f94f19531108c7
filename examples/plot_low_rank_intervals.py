"""
====================================
When gradient descent is of low rank
====================================

A symmetric matrix of rank three, in noise, is fitted by gradient descent on the product of three
matrices that start small. Its effective rank rises in steps, and dwells near that of the matrix
without noise. How long, how the noise shortens it, and what stopping there is worth.
"""

from pathlib import Path

import numpy as np

from sklearn_sparse_eig import DeepMatrixFactorization, effective_rank, low_rank_intervals

VALUES, N = np.array([10.0, 7.0, 5.0]), 100
rng = np.random.default_rng(0)
U = np.linalg.qr(rng.standard_normal((N, 3)))[0]
truth = (U * VALUES) @ U.T
noise = rng.standard_normal((N, N))
noise = (noise + noise.T) / np.linalg.norm(noise + noise.T, 2)


def error(found):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


# %%
# Nobody tells the run its rank. It is compared with truncation at rank three, which knows it, and
# with the best that any time of the same run would have given.
curves = {}
times = np.geomspace(0.05, 500, 300)
for level in (0.48, 0.95, 1.9):
    X = truth + level * noise
    model = DeepMatrixFactorization().fit(X)
    stopped = model.inverse_transform(model.transform(X))
    values, vectors = np.linalg.eigh(X)
    oracle = (vectors[:, -3:] * values[-3:]) @ vectors[:, -3:].T
    path, ranks = model.path(times)
    curves[level] = ranks, model
    full, best = np.linalg.eigh(X)[1], np.inf
    order = np.argsort(-np.abs(values), kind="stable")
    for row in path[::3]:
        best = min(best, error((full[:, order] * row) @ full[:, order].T))
    print(
        f"noise {level:.2f}: raw error {error(X):.3f}, rank {model.n_components_} chosen, "
        f"stopped {error(stopped):.3f}, rank known {error(oracle):.3f}, best time {best:.3f}; "
        f"effective rank {effective_rank(X):.2f} -> {model.effective_rank_:.2f} "
        f"(truth {effective_rank(VALUES):.2f})"
    )

# %%
# The interval for all matrices within a given distance shrinks as that grows, and then is empty.
levels = np.linspace(0.0, 2.5, 51)
spectrum = np.append(VALUES, 0.0)  # all other eigenvalues are zero, and noise may raise one
intervals = {
    scale: np.array(
        [low_rank_intervals(spectrum, init_scale=scale, noise_level=e)[2, 1:] for e in levels]
    )
    for scale in (0.1, 0.01)
}
last = {scale: levels[ends[:, 0] <= ends[:, 1]].max() for scale, ends in intervals.items()}
for scale, level in last.items():
    print(f"init_scale {scale}: an interval is certain up to noise {level:.2f}")
print("reproduced: the plateaus, an interval that noise shortens, and the error of a known rank.")
print("not reproduced: the constants of the papers' theorems, and no gain over the known rank.")

try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for (level, (ranks, model)), color in zip(
        curves.items(), ("#2a6fbb", "#c8702a", "#3d8b4f"), strict=True
    ):
        left.semilogx(times, ranks, color=color, label=f"noise {level}")
        left.axvspan(*model.low_rank_intervals_[2, 1:], color=color, alpha=0.08)
        left.plot(model.stopping_time_, model.effective_rank_, "o", color=color)
    left.axhline(effective_rank(VALUES), color="0.5", linestyle=":", label="without noise")
    left.set(xlabel="time", ylabel="effective rank of the product", ylim=(0.9, 6))
    left.set_title("Plateaus, intervals (shaded), where it stops", loc="left")
    left.legend(frameon=False, loc="upper left")
    for (scale, ends), color in zip(intervals.items(), ("#2a6fbb", "#8a3a8f"), strict=True):
        start = ends[0, 0]
        kept = np.isfinite(ends[:, 1])
        right.plot(levels, ends[:, 0] / start, color=color, label=f"begins, init_scale {scale}")
        right.plot(levels[kept], ends[kept, 1] / start, color=color, linestyle="--", label="ends")
    right.set(xlabel="spectral norm of the noise", ylabel="time, relative", yscale="log")
    right.set_title("The interval that any such noise leaves", loc="left")
    right.legend(frameon=False)
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig("low_rank_intervals.png", dpi=150)
    print(f"Plot saved as {Path('low_rank_intervals.png').resolve()}")
