"""
====================================
Seeds that lead to confident samples
====================================

A deterministic diffusion sampler makes each seed into one sample. Are classes told apart more
easily by seeds whose samples a classifier is sure of? A mixture of Gaussians, whose score is known
exactly, answers without a network; permuted labels show what would be seen by chance.
"""

from pathlib import Path

import numpy as np

from sklearn_sparse_eig import SeedConfidenceFilter
from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion

toy = make_gaussian_mixture_diffusion(10_000, n_steps=50, random_state=0)
model = SeedConfidenceFilter(toy.generator, toy.classifier, random_state=0).fit(toy.seeds)
edges, transfer = model.bin_edges_, model.transfer_scores_
for i, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
    print(
        f"confidence {low:.2f} to {high:.2f}: separability {model.separability_[i]:.2f} "
        f"(labels permuted {model.separability_shuffled_[i]:+.2f}), accuracy of a probe "
        f"{model.bin_scores_[i]:.2f} (permuted {model.bin_scores_shuffled_[i]:.2f}), "
        f"trained on the first bin {transfer[0, i]:.2f}, on the last {transfer[-1, i]:.2f}"
    )

# %%
# The probe reads states on the way as well as seeds. They cost a part of the generation.
new = np.random.default_rng(1).standard_normal((3000, 64))
labels = toy.classifier.predict(toy.generator(new))
positions, scores = np.linspace(0, 1, 6), []
for position in positions:
    reader = SeedConfidenceFilter(
        toy.generator,
        toy.classifier,
        state=lambda Z, position=position: toy.generator.state(Z, position),
        train_on="all",
        n_bins=1,
        random_state=0,
    )
    scores.append(reader.fit(toy.seeds).score(new, labels))
print("accuracy after a share of the steps:", ", ".join(f"{score:.3f}" for score in scores))

# %%
# Seeds chosen for a class before they are generated from, beside generating and rejecting.
for n_candidates in (1, 40):
    found = model.sample(200, 3, n_candidates=n_candidates, random_state=0)
    print(
        f"{n_candidates} candidates: {found.calls_per_sample:.1f} generator calls for each "
        "confident sample of class 3"
    )
print(
    "reproduced: in the mixture, separability that rises with confidence, and generation by choice "
    "of seeds."
)
print(
    "not reproduced: any accuracy of the paper, which is about trained networks and was not "
    "available; and most of the rise is in which seeds are tested, not in training on them."
)

try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, panels = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    blue, brown, green, grey = "#2a6fbb", "#c8702a", "#3d8b4f", "0.55"
    bins = np.arange(len(model.separability_))
    left, middle, right = panels
    left.plot(bins, model.separability_, "o-", color=blue, label="seeds of the bin, held out")
    left.plot(bins, model.separability_shuffled_, "o:", color=grey, label="labels permuted")
    left.set(ylabel="Fisher criterion tr(S_w^-1 S_b)")
    left.set_title("Separability of classes by seed", loc="left")
    middle.plot(bins, model.bin_scores_, "o-", color=blue, label="trained on the same bin")
    middle.plot(bins, transfer[0], "s--", color=brown, label="trained on the first bin")
    middle.plot(bins, transfer[-1], "^--", color=green, label="trained on the last bin")
    middle.plot(bins, model.bin_scores_shuffled_, "o:", color=grey, label="labels permuted")
    middle.set(ylabel="accuracy on held-out seeds", ylim=(0, 1.02))
    middle.set_title("A linear probe", loc="left")
    for panel in (left, middle):
        ticks = [f"{a:.2f}\nto {b:.2f}" for a, b in zip(edges[:-1], edges[1:], strict=True)]
        panel.set_xticks(bins, ticks)
        panel.set_xlabel("confidence of the sample")
    right.plot(positions, scores, "o-", color=blue)
    right.set(xlabel="share of the steps done", ylabel="accuracy on new seeds", ylim=(0.8, 1.0))
    right.set_title("A probe of states on the way", loc="left")
    left.legend(frameon=False)
    middle.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 0.14))
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig("seed_confidence.png", dpi=150)
    print(f"Plot saved as {Path('seed_confidence.png').resolve()}")
