"""
=======================================================
Phase transition of the sparsity that descent implies
=======================================================

From how many equations is a sparse solution recovered? For each number of equations and of nonzeros
among 100 unknowns, the share of random problems that are solved by the end of gradient flow on a
network of depth 4, by basis pursuit, which minimises the l1 norm as a linear programme, and by
orthogonal matching pursuit (OMP), which has to be told the sparsity.
"""

from pathlib import Path

import numpy as np
from scipy.optimize import linprog
from sklearn.linear_model import OrthogonalMatchingPursuit

from sklearn_sparse_eig import DiagonalNetworkRegressor
from sklearn_sparse_eig.plotting import PhaseDiagramDisplay

N, REPEATS = 100, 5
EQUATIONS = (10, 20, 30, 40, 50, 60)
NONZEROS = (1, 2, 4, 6, 9, 12, 16, 20, 25)
rng = np.random.default_rng(0)
network = DiagonalNetworkRegressor(4, 0.01, solver="limit", fit_intercept=False)


def basis_pursuit(X, y):
    sides = linprog(np.ones(2 * N), A_eq=np.hstack([X, -X]), b_eq=y).x
    return sides[:N] - sides[N:]


def pursuit(X, y, n_nonzero):
    model = OrthogonalMatchingPursuit(n_nonzero_coefs=n_nonzero, fit_intercept=False)
    return model.fit(X, y).coef_


# %%
# A problem counts as solved where every coefficient is right to 0.01. With fewer equations than
# nonzeros there is nothing to be seen.
METHODS = ("gradient flow, L = 4", "basis pursuit", "OMP, sparsity known")
solved = np.zeros((3, len(NONZEROS), len(EQUATIONS)))
apart = 0.0
for column, M in enumerate(EQUATIONS):
    for row, k in enumerate(NONZEROS):
        for _ in range(REPEATS if k < M else 0):
            X, w = rng.standard_normal((M, N)), np.zeros(N)
            w[rng.permutation(N)[:k]] = rng.choice([-1.0, 1.0], k)
            y = X @ w
            found = (network.fit(X, y).coef_, basis_pursuit(X, y), pursuit(X, y, k))
            solved[:, row, column] += [np.abs(v - w).max() < 0.01 for v in found]
            if np.abs(found[1] - w).max() < 0.01:
                apart = max(apart, np.abs(found[0] - found[1]).max())
solved /= REPEATS
for method, share in zip(METHODS, solved, strict=True):
    half = [NONZEROS[np.flatnonzero(column >= 0.5).max(initial=0)] for column in share.T]
    total = round(share.sum() * REPEATS)
    print(f"{method}: {total} solved; most nonzeros, by equations: {', '.join(map(str, half))}")
print(f"largest difference from basis pursuit where that is right: {apart:.3f}")

# %%
# What this shows of arXiv:2112.11027, and what not.
print("reproduced: as many equations as for the least l1 norm, without a penalty or the sparsity")
print("not reproduced: constants of the number of equations, and training from the paper's scales")
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharey=True)
    for panel, share, method in zip(axes, solved, METHODS, strict=True):
        labels = {"xlabel": "equations", "ylabel": "nonzeros of 100" if panel is axes[0] else ""}
        phases = PhaseDiagramDisplay(share, EQUATIONS, NONZEROS, **labels)
        image = phases.plot(ax=panel, colorbar=False).image_
        panel.set_title(method, loc="left")
    figure.colorbar(image, ax=axes, label="share solved (white line: half)")
    figure.savefig("sparse_phase_transition.png", dpi=150)
    print(f"Plot saved as {Path('sparse_phase_transition.png').resolve()}")
