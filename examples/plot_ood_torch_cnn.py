"""
=============================================
A convolutional network and digits new to it
=============================================

A small convolutional network in torch learns seven of the ten bundled digits. GradPCADetector takes
it as it is: hooks catch what enters and leaves each layer, convolutions and normalisation included,
in one forward and one backward pass. Held-out digits set the threshold.
"""

import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

try:
    import torch
    from torch import nn
except ImportError:
    raise SystemExit(
        'No example: torch is not installed. pip install "sklearn_sparse_eig[torch]"'
    ) from None

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.plotting import plot_ood_scores

NEW = [3, 4, 7]
started = time.perf_counter()
X, y = load_digits(return_X_y=True)
X, known = X.reshape(-1, 1, 8, 8).astype(np.float32) / 16.0, ~np.isin(y, NEW)
X_new = X[~known]
# The logits are numbered 0 to 6.
labels = np.unique(y[known], return_inverse=True)[1]
X_train, X_rest, y_train, y_rest = train_test_split(
    X[known], labels, test_size=0.5, stratify=labels, random_state=0
)
X_held_out, X_known, _, y_known = train_test_split(X_rest, y_rest, random_state=0, train_size=0.5)

# %%
# The network, trained for a few seconds.
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.BatchNorm2d(16),
    nn.ReLU(),
    nn.Conv2d(16, 16, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(256, 64),
    nn.ReLU(),
    nn.Linear(64, 7),
)
optimizer = torch.optim.Adam(model.parameters(), 2e-3)
for _ in range(30):
    for rows in torch.randperm(len(X_train)).split(50):
        loss = nn.functional.cross_entropy(
            model(torch.as_tensor(X_train[rows])), torch.as_tensor(y_train[rows])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
model.eval()  # or BatchNorm would mix the samples of a batch


def probability(rows):
    """Return the probability of the predicted class."""
    with torch.no_grad():
        return model(torch.as_tensor(rows)).softmax(1).max(1).values.numpy()


with torch.no_grad():
    predicted = model(torch.as_tensor(X_known)).argmax(1).numpy()
print(f"accuracy on known digits: {(predicted == y_known).mean():.3f}")

# %%
# All parameters count, or those of some modules, here the dense ones.
detectors = {
    "GradPCA, all layers": GradPCADetector(model).fit(X_train, y_train),
    "GradPCA, dense layers": GradPCADetector(model, params="dense").fit(X_train, y_train),
}
functions = {name: detector.score_samples for name, detector in detectors.items()}
functions["probability of the predicted class"] = probability
scores = {name: [f(rows) for rows in (X_known, X_new)] for name, f in functions.items()}
truth = np.repeat([1, 0], [len(X_known), len(X_new)])
aurocs = {name: roc_auc_score(truth, np.concatenate(pair)) for name, pair in scores.items()}
for name, auroc in aurocs.items():
    print(f"{name + ':':36} AUROC {auroc:.3f}")

detector = detectors["GradPCA, all layers"].calibrate(X_held_out)
print(f"known digits rejected: {(detector.predict(X_known) == -1).mean():.1%} (at most 5% asked)")
print(f"new digits rejected: {(detector.predict(X_new) == -1).mean():.1%}")
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
    panels[0].figure.savefig("ood_torch_cnn.png", dpi=150)
    print(f"Plot saved as {Path('ood_torch_cnn.png').resolve()}")

# %%
# **Conclusion.** The module is taken as it is, and convolutions add nothing here to what the dense
# layers tell: ``params="dense"`` is as good.
