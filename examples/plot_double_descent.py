"""
==================================
Double descent, plain and weighted
==================================

A random function of 1024 frequencies is known at 64 points. How many frequencies should a fit
have? The exact expected error for each number, beside the mean error of fits to random draws.
"""

from pathlib import Path

import numpy as np

from sklearn_sparse_eig import WeightedFourierRegressor, trigonometric_risk

N, TOTAL, NOISE, DRAWS = 64, 1024, 0.02, 2000
CHECKED = [8, 32, 56, 64, 72, 96, 128, 256, 512, 1024]
sizes = np.arange(1, TOTAL + 1)


def variances_of(r):
    v = (np.arange(TOTAL) + 1.0) ** (-2 * r)
    return v / v.sum()


# %%
# Without noise, for functions of increasing smoothness r and weights to match.
for r in (0.5, 1.0, 2.0):
    v = variances_of(r)
    plain = trigonometric_risk(N, sizes, v)
    weighted = trigonometric_risk(N, sizes, v, weight_exponent=r)
    small = plain[:N].min()
    print(
        f"r = {r}: best of at most {N} frequencies {small:.4g} (at {plain[:N].argmin() + 1}), "
        f"all {TOTAL} weighted {weighted[-1]:.4g} ({1 - weighted[-1] / small:.1%} less), "
        f"all {TOTAL} plain {plain[-1]:.3f}"
    )

# %%
# With noise, the formulas beside fits. Complex Gaussian coefficients and noise.
v, rng = variances_of(1.0), np.random.default_rng(0)
draws = rng.standard_normal((4, DRAWS, TOTAL))
theta = (draws[0] + 1j * draws[1]) * np.sqrt(v / 2)
noise = (draws[2] + 1j * draws[3])[:, :N] * np.sqrt(NOISE / 2)
x = np.arange(N)[:, None] / N
samples = np.fft.ifft(theta.reshape(DRAWS, -1, N).sum(axis=1), axis=1) * N + noise

exact, measured = {}, {}
for name, q in (("plain", 0.0), ("weighted", 1.0)):
    exact[name] = trigonometric_risk(N, sizes, v, weight_exponent=q, noise_variance=NOISE)
    measured[name] = []
    for p in CHECKED:
        model = WeightedFourierRegressor(p, weight_exponent=q, alpha=0.0, basis="complex")
        found = model.fit(x, samples.T).coef_.T
        error = (abs(found - theta[:, :p]) ** 2).sum(1) + (abs(theta[:, p:]) ** 2).sum(1)
        measured[name].append(error.mean())
    away = np.abs(np.array(measured[name]) / exact[name][np.array(CHECKED) - 1] - 1)
    print(f"{name}: formula and the mean of {DRAWS} fits differ by at most {away.max():.1%}")
curve = exact["weighted"]
first, top = curve[:N].argmin() + 1, N // 2 + curve[N // 2 : 2 * N].argmax() + 1
print(
    f"with noise, weighted: {curve[first - 1]:.4f} at {first} frequencies, up to "
    f"{curve[top - 1]:.4f} at {top}, down to {curve[-1]:.4f} at {TOTAL}"
)
print("reproduced: the second descent of weighted fits, below every fit of fewer frequencies.")
print("not reproduced: one of plain fits, whose error tends to that of no fit for such functions.")

try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    colors = {"plain": "#c8702a", "weighted": "#2a6fbb"}
    for name, q in (("plain", 0.0), ("weighted", 1.0)):
        clean = trigonometric_risk(N, sizes, v, weight_exponent=q)
        panels[0].loglog(sizes, clean, color=colors[name], label=name)
        panels[1].loglog(sizes, exact[name], color=colors[name], label=f"{name}, exact")
        panels[1].plot(CHECKED, measured[name], "o", color=colors[name], label="mean of fits")
    panels[0].set(ylabel="expected squared error", title="without noise")
    panels[1].set(title=f"noise of variance {NOISE}")
    for panel in panels:
        panel.axvline(N, color="0.6", linestyle=":", linewidth=1)
        panel.set_xlabel("frequencies in the fit (points: dotted)")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    figure.savefig("double_descent.png", dpi=150)
    print(f"Plot saved as {Path('double_descent.png').resolve()}")
