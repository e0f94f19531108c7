"""GradPCADetector on dense networks with random weights: the cost does not depend on them."""

import numpy as np

from sklearn_sparse_eig import GradPCADetector

from ._generators import make_network, quiet


class Detector:
    """``fit`` and ``score_samples``, by the sizes of the layers."""

    params = ([(64, 32, 10), (128, 64, 10)],)
    param_names = ("layers",)
    n_samples = 2000

    def setup(self, layers):
        self.network = make_network(layers)
        self.X = np.random.default_rng(0).normal(size=(self.n_samples, layers[0]))
        self.y = np.arange(self.n_samples) % layers[-1]
        quiet()  # labels are not what the network predicts
        self.fitted = GradPCADetector(self.network).fit(self.X, self.y)

    def time_fit(self, layers):
        return GradPCADetector(self.network).fit(self.X, self.y)

    def time_score_samples(self, layers):
        return self.fitted.score_samples(self.X)

    def peakmem_fit_and_score_samples(self, layers):
        return GradPCADetector(self.network).fit(self.X, self.y).score_samples(self.X)
