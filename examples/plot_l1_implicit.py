"""
===============================================
Sparse recovery that gradient descent implies
===============================================

Gradient descent on w = u^L - v^L from a small initialisation ends, among all solutions of X w = y,
near the one of least l1 norm. Left: of a hundred sparse problems for each number of equations and
of nonzeros, how many does the end of gradient flow solve, and how many does orthogonal matching
pursuit, which is told the sparsity? Right: how far is the norm from the smallest, and what is
promised?
"""

from pathlib import Path

import numpy as np
from scipy.optimize import linprog
from sklearn.linear_model import OrthogonalMatchingPursuit

from sklearn_sparse_eig import DiagonalNetworkRegressor
from sklearn_sparse_eig.implicit import l1_gap_bound
from sklearn_sparse_eig.plotting import PhaseDiagramDisplay

N, REPEATS = 100, 4
EQUATIONS, SHARES = (20, 35, 50, 65, 80), (0.1, 0.2, 0.3, 0.4, 0.5)
rng = np.random.default_rng(0)


def problem(n_equations, n_nonzero):
    X = rng.standard_normal((n_equations, N))
    w = np.zeros(N)
    w[rng.permutation(N)[:n_nonzero]] = rng.choice([-1.0, 1.0], n_nonzero)
    return X, w


# %%
# A problem counts as solved where every coefficient is right to 0.01.
solved = np.zeros((2, len(SHARES), len(EQUATIONS)))
for column, M in enumerate(EQUATIONS):
    for row, share in enumerate(SHARES):
        for _ in range(REPEATS):
            X, w = problem(M, max(1, round(share * M)))
            network = DiagonalNetworkRegressor(solver="limit", fit_intercept=False)
            network.fit(X, X @ w)
            pursuit = OrthogonalMatchingPursuit(n_nonzero_coefs=np.count_nonzero(w))
            pursuit.set_params(fit_intercept=False).fit(X, X @ w)
            for method, model in enumerate((network, pursuit)):
                solved[method, row, column] += np.abs(model.coef_ - w).max() < 0.01
counts = solved.sum(axis=(1, 2)).astype(int)
print(f"solved by the limit of gradient flow: {counts[0]} of {REPEATS * solved[0].size}, ", end="")
print(f"by OMP: {counts[1]} of {REPEATS * solved[0].size}")

# %%
# One problem, all scales: the gap falls much faster than the bound, and never exceeds it.
X, w = problem(40, 8)
y = X @ w
least = linprog(np.ones(2 * N), A_eq=np.hstack([X, -X]), b_eq=y).fun
scales = np.geomspace(0.003, 0.3, 9)
gaps, bounds = np.empty((3, len(scales))), np.empty((3, len(scales)))
for row, depth in enumerate((2, 3, 4)):
    for column, scale in enumerate(scales):
        model = DiagonalNetworkRegressor(depth, scale, solver="limit", fit_intercept=False)
        model.set_params(tol=1e-11).fit(X, y)
        gaps[row, column] = model.l1_norm_ / least - 1
        bounds[row, column] = l1_gap_bound(least, 2 * N, depth, scale)
    if (gaps[row] <= bounds[row] + 1e-9).all():
        print(f"depth {depth}: gap at most the bound at all {len(scales)} scales")

# %%
# What this shows of arXiv:2112.11027, and what not.
print(
    "reproduced: recovery as by l1 minimisation, and gaps below the bound at every depth and scale"
)
print(
    "not reproduced: the training itself, which needs many steps to end where Newton's method does"
)
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for panel, share, title in zip(axes, solved / REPEATS, ("gradient flow", "OMP"), strict=False):
        labels = {"xlabel": "equations", "ylabel": "nonzeros / equations"}
        phases = PhaseDiagramDisplay(share, EQUATIONS, SHARES, **labels)
        image = phases.plot(ax=panel, colorbar=False).image_
        panel.set_title(f"solved, {title}", loc="left")
    figure.colorbar(image, ax=axes[1])
    for depth, gap, bound, color in zip(
        (2, 3, 4), gaps, bounds, ("0.45", "#2a6fbb", "#c1440e"), strict=True
    ):
        axes[2].loglog(
            scales, np.maximum(gap, 1e-12), "o-", color=color, ms=4, label=f"L = {depth}"
        )
        axes[2].loglog(scales, bound, "--", color=color)
    axes[2].set_xlabel("initialisation")
    axes[2].set_title("l1 gap, and bound (dashed)", loc="left")
    axes[2].spines[["top", "right"]].set_visible(False)
    axes[2].legend(frameon=False)
    figure.savefig("l1_implicit.png", dpi=150)
    print(f"Plot saved as {Path('l1_implicit.png').resolve()}")
