"""Two diffusions of 64 features and 10 classes: a mixture with exact score, and trained digits.

Noise is mixed in by an angle phi, x = cos(phi) x0 + sin(phi) e. Sampling turns x by the velocity
v = cos(phi) e - sin(phi) x0 that is expected at x, from phi = pi / 2 to 0. Guidance to class c adds
s grad log p(c | x) to the score, which takes s tan(phi) times that gradient from v.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion

_WIDTH, _BATCH, _RATE = 192, 128, 2e-3
# The tangent is bounded: where all is noise, a trained classifier has gradients of its own.
_STEEPEST = 1.5
_AT_ONCE = 2000


@dataclass
class Diffusion:
    """What is sampled from, and who judges.

    Attributes
    ----------
    name : str
    n_steps : int
    velocity : callable
        From (x, phi) to v.
    pull : callable
        From (x, phi, class) to tan(phi) grad log p(class | x).
    classifier, evaluator : fitted classifiers
        One accepts samples, another judges those accepted.
    real : list of (n, 64) arrays
        Data of each class that nothing was trained on.
    """

    name: str
    n_steps: int
    velocity: object
    pull: object
    classifier: object
    evaluator: object
    real: list

    def generator(self, Z):
        """Return samples from seeds, without guidance."""
        return self.guided(Z, None, 0.0)

    def guided(self, Z, target, scale):
        """Return samples from seeds, pulled towards a class."""
        return np.concatenate(
            [
                self._run(Z[low : low + _AT_ONCE], target, scale)
                for low in range(0, len(Z), _AT_ONCE)
            ]
        )

    def _run(self, x, target, scale):
        delta = 0.5 * np.pi / self.n_steps
        for step in range(self.n_steps):
            phi = 0.5 * np.pi - step * delta
            v = self.velocity(x, phi)
            if scale:
                v = v - scale * self.pull(x, phi, target)
            x = np.cos(delta) * x - np.sin(delta) * v
        return x


def mixture(seed, n_steps=50, radius=2.5):
    """Return ten Gaussians of deviation 1 with random means of norm `radius`, all of it exact."""
    rng = np.random.default_rng(seed)
    toy = make_gaussian_mixture_diffusion(1, radius=radius, random_state=seed)
    means = toy.means

    def shares(x, phi):
        logits = np.cos(phi) * x @ means.T - 0.5 * np.cos(phi) ** 2 * radius**2
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def draw(n):
        labels = rng.integers(10, size=n)
        return means[labels] + rng.standard_normal((n, 64)), labels

    # With deviation 1 the variance is 1 at every angle: v = -sin(phi) times the expected mean.
    return Diffusion(
        "exact mixture",
        n_steps,
        lambda x, phi: -np.sin(phi) * (shares(x, phi) @ means),
        lambda x, phi, c: np.sin(phi) * (means[c] - shares(x, phi) @ means),
        toy.classifier,
        LogisticRegression(max_iter=1000).fit(*draw(5000)),
        [mean + rng.standard_normal((180, 64)) for mean in means],
    )


def digits(seed, n_steps=25, training_steps=5000):
    """Return a diffusion of the digits of scikit-learn: denoiser and noisy classifier are trained.

    Half of the digits train denoiser, noisy classifier and the one that accepts; the evaluator is
    of another kind, and trained on the other half, to which samples are compared.
    """
    import torch

    torch.manual_seed(seed)
    X, y = load_digits(return_X_y=True)
    X = (X / 16.0 - 0.305) / 0.376  # mean 0 and deviation 1 of all pixels
    order = np.random.default_rng(seed).permutation(len(X))
    mine, other = order[: len(X) // 2], order[len(X) // 2 :]
    denoiser = _train(X[mine], None, 64, training_steps)
    noisy = _train(X[mine], y[mine], 10, training_steps // 3)

    def velocity(x, phi):
        with torch.no_grad():
            return denoiser(*_tensors(x, phi)).numpy().astype(np.float64)

    def pull(x, phi, c):
        rows, angles = _tensors(x, phi)
        rows.requires_grad_(True)
        logs = torch.log_softmax(noisy(rows, angles), dim=1)[:, c].sum()
        gradient = torch.autograd.grad(logs, rows)[0].numpy().astype(np.float64)
        return np.tan(min(phi, _STEEPEST)) * gradient

    return Diffusion(
        "digits, trained",
        n_steps,
        velocity,
        pull,
        LogisticRegression(C=0.1, max_iter=1000).fit(X[mine], y[mine]),
        SVC(C=10.0).fit(X[other], y[other]),
        [X[other][y[other] == c] for c in range(10)],
    )


def _tensors(x, phi):
    import torch

    return torch.as_tensor(x, dtype=torch.float32), torch.full((len(x), 1), phi)


def _train(X, labels, n_outputs, n_steps):
    """Train a network of rows and angles: velocities, or classes where there are labels."""
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(64 + 16, _WIDTH)
            self.blocks = nn.ModuleList(
                nn.Sequential(
                    nn.LayerNorm(_WIDTH),
                    nn.Linear(_WIDTH, _WIDTH),
                    nn.SiLU(),
                    nn.Linear(_WIDTH, _WIDTH),
                )
                for _ in range(3)
            )
            self.last = nn.Linear(_WIDTH, n_outputs)

        def forward(self, x, phi):
            waves = phi * torch.arange(1, 9) * 2.0
            h = self.first(torch.cat([x, torch.sin(waves), torch.cos(waves)], dim=1))
            for block in self.blocks:
                h = h + block(h)
            return self.last(h)

    network, rows = Network(), torch.as_tensor(X, dtype=torch.float32)
    targets = None if labels is None else torch.as_tensor(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=n_steps)
    for _ in range(n_steps):
        ids = torch.randint(len(rows), (_BATCH,))
        phi, noise = torch.rand(_BATCH, 1) * 0.5 * torch.pi, torch.randn(_BATCH, 64)
        x = torch.cos(phi) * rows[ids] + torch.sin(phi) * noise
        found = network(x, phi)
        if targets is None:
            velocity = torch.cos(phi) * noise - torch.sin(phi) * rows[ids]
            loss = ((found - velocity) ** 2).mean()
        else:
            loss = nn.functional.cross_entropy(found, targets[ids])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval().requires_grad_(False)
