"""What a module is given, and whether its output can be trusted, is found out on the first rows."""

import numpy as np
import pytest

from sklearn_sparse_eig import GradientFeatures, GradPCADetector

torch = pytest.importorskip("torch")
nn = torch.nn


def rows():
    return np.random.default_rng(0).normal(size=(40, 10)).astype("f")


def make_module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(10, 3)

    def forward(self, x):
        return self.head(nn.functional.dropout(x, 0.5, training=True))


def test_rows_that_do_not_fit_are_refused_by_their_shape():
    X, y = rows()[:, :5], np.arange(40) % 3
    for fit in (GradientFeatures(make_module()).fit, GradPCADetector(make_module()).fit):
        with pytest.raises(ValueError, match=r"cannot be run on rows of shape \(5,\)"):
            fit(X, y)


def test_gradient_features_of_a_random_output_are_refused():
    with pytest.raises(ValueError, match="its output is random"):
        GradientFeatures(Dropping().eval()).fit(rows())


@pytest.mark.parametrize("score, expected", [("snr_ratio", np.nan), ("relative", 1 / 21)])
def test_scores_that_overflow_are_told_once_at_the_line_of_the_caller(score, expected):
    X, y = rows(), np.arange(40) % 3
    detector = GradPCADetector(make_module(), score_function=score, labels="predicted")
    detector.fit(X[:20], y[:20]).calibrate(X[20:])
    with pytest.warns(UserWarning, match="of 2 of 2 rows are not finite") as told:
        p = detector.p_values(X[:2] * np.float32(1e38))
    # An infinite length is more than that of any of 20 rows; a ratio of two is none.
    np.testing.assert_allclose(p, expected)
    assert len(told) == 1 and told[0].filename == __file__
