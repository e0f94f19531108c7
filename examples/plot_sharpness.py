"""
====================================
Large steps: sharpness against norm
====================================

What do larger steps change about where gradient descent ends? Up to a critical size nothing: it
ends where gradient flow does. Beyond, the curvature of the loss at the end, the sharpness, is what
the step allows, 2 / step, and the norm of the weights is larger, that is, the solution less sparse.
Flatter and sparser are two aims here, and only one of them is that of the data.
"""

from pathlib import Path

import numpy as np

from sklearn_sparse_eig import learning_rate_path

rng = np.random.default_rng(0)
n_samples, n_features = 20, 40
X = rng.standard_normal((n_samples, n_features))
w = np.zeros(n_features)
w[:3] = [1.0, -1.0, 1.0]
fresh = rng.standard_normal((2000, n_features))

# %%
# All steps at once, at depth 2, from the smallest to those that diverge.
critical = learning_rate_path(X, X @ w, [1e-2]).critical_learning_rate
rates = critical * np.array([0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 2.5])
path = learning_rate_path(X, X @ w, rates, max_iter=50_000)
error = ((fresh @ (path.coefs - w[:, None])) ** 2).mean(axis=0)
print(f"critical step {critical:.3f}, 2 over the largest sharpness along gradient flow")
for k in range(len(rates)):
    end = "diverged" if np.isnan(path.sharpness[k]) else "" if path.converged[k] else "not ended"
    print(
        f"step {rates[k] / critical:4.2f} critical: sharpness {path.sharpness[k]:5.2f}, 2 / step "
        f"{2 / rates[k]:5.2f}, norm {path.squared_weight_norm[k]:4.2f}, error {error[k]:.2f} {end}"
    )
below, above = (
    path.converged & (rates < 0.95 * critical),
    path.converged & (rates > 1.03 * critical),
)
follows = np.abs(path.sharpness[above] * rates[above] / 2 - 1).max()
steady = np.ptp(path.sharpness[below]) / path.sharpness[below].mean()
print(f"below: sharpness varies by {100 * steady:.1f}%; above: 2 / step to {100 * follows:.1f}%")
least = rates[np.nanargmin(np.where(path.converged, error, np.nan))] / critical
print(f"least error on new data at {least:.1f} times the critical step")

# %%
# What this shows of arXiv:2505.21423, and what not.
print("reproduced: sharpness 2 / step beyond the critical step, and the norm that grows with it")
print("not reproduced: a test error that is least in between; here the smallest steps are best")
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    ended = path.converged
    shown = ((path.sharpness, "sharpness"), (path.squared_weight_norm, "squared norm of weights"))
    for panel, (values, title) in zip(axes, (*shown, (error, "error on new data")), strict=True):
        panel.plot(rates[ended], values[ended], "o-", ms=4, color="#2a6fbb")
        panel.axvline(critical, color="0.8", lw=1, zorder=0)
        panel.set_xlabel("step")
        panel.set_title(title, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    steps = np.linspace(0.7 * critical, rates[ended].max(), 50)
    axes[0].plot(steps, 2 / steps, "--", color="0.45")
    axes[0].annotate("2 / step", (steps[0], 2 / steps[0]), ha="right", va="top", color="0.45")
    axes[2].annotate("critical", (critical, error[ended].max()), ha="right", color="0.45")
    figure.savefig("sharpness.png", dpi=150)
    print(f"Plot saved as {Path('sharpness.png').resolve()}")
