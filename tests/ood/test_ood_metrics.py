"""Measures of detection: those of scikit-learn, and those of their definitions."""

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from sklearn_sparse_eig.ood import ood_metrics

SCORES = [
    (np.random.default_rng(0).normal(1.0, size=300), np.random.default_rng(1).normal(size=200)),
    (
        np.random.default_rng(2).integers(3, 9, size=97),
        np.random.default_rng(3).integers(6, size=41),
    ),
    (np.arange(20.0), np.arange(20.0)),
    (np.array([2.0]), np.array([1.0])),
    (np.array([1.0, np.inf]), np.array([0.0, -np.inf])),
]


@pytest.mark.parametrize("known, new", SCORES)
def test_areas_are_those_of_scikit_learn(known, new):
    finite = [np.nan_to_num(np.asarray(side, dtype=float)) for side in (known, new)]
    truth, scores = np.repeat([1, 0], [len(known), len(new)]), np.concatenate(finite)
    found = ood_metrics(known, new)
    assert found["AUROC"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    for name, labels, values in (("IN", truth, scores), ("OUT", 1 - truth, -scores)):
        precision, recall, _ = precision_recall_curve(labels, values)
        assert found[f"AUPR-{name}"] == pytest.approx(auc(recall, precision), abs=1e-12)


@pytest.mark.parametrize("known, new", SCORES)
def test_false_positives_by_trying_every_threshold(known, new):
    found, thresholds = ood_metrics(known, new), np.unique(np.r_[known, new])
    # Rejected from a threshold down, or accepted from one up.
    rejected = [(known <= t).mean() for t in thresholds if (new <= t).mean() >= 0.95]
    accepted = [(new >= t).mean() for t in thresholds if (known >= t).mean() >= 0.95]
    assert found["FPR95TPR"] == pytest.approx(min(rejected))
    assert found["FPR95TPR-IN"] == pytest.approx(min(accepted))
    benchmark = (new >= np.quantile(known, 0.05, method="lower")).mean()
    assert found["FPR95TPR-IN"] <= benchmark


def test_extremes_and_signs():
    perfect = ood_metrics([3, 4, 5], [0, 1])
    assert perfect == {
        "AUROC": 1.0,
        "AUPR-IN": 1.0,
        "AUPR-OUT": 1.0,
        "FPR95TPR": 0.0,
        "FPR95TPR-IN": 0.0,
    }
    known, new = SCORES[0]
    one, other = ood_metrics(known, new), ood_metrics(-new, -known)
    for mine, theirs in [("AUROC", "AUROC"), ("AUPR-IN", "AUPR-OUT"), ("FPR95TPR", "FPR95TPR-IN")]:
        assert one[mine] == pytest.approx(other[theirs])
    assert all(type(value) is float for value in one.values())


@pytest.mark.parametrize("known", [[], [np.nan, 1.0], [[1.0, 2.0]], 3.0])
def test_bad_scores_are_refused(known):
    with pytest.raises(ValueError, match="known must be the scores"):
        ood_metrics(known, [0.0, 1.0])
    with pytest.raises(ValueError, match="new must be the scores"):
        ood_metrics([0.0, 1.0], known)


@pytest.mark.parametrize("known, new", SCORES[:3])
def test_the_same_as_pytorch_ood(known, new):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("pytorch_ood.metrics").OODMetrics()
    # There scores are higher for what is new, and labels of new inputs are negative.
    scores = -np.concatenate([known, new]).astype(np.float64)
    labels = np.repeat([1, -1], [len(known), len(new)])
    metrics.update(torch.as_tensor(scores), torch.as_tensor(labels))
    theirs, ours = metrics.compute(), ood_metrics(known, new)
    shared = {"AUROC", "AUPR-IN", "AUPR-OUT", "FPR95TPR"}
    assert shared <= theirs.keys()
    for name in shared:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6), name
