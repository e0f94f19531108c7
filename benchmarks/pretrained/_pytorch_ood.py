"""Detectors of pytorch-ood that ask for logits or features alone, as functions of Views.

Their scores are higher for what is new; here they have a minus sign. Settings are their own
defaults, but for the dimension of ViM, which has none and is as in gradpca/_ood_baselines.py.
"""

from importlib.util import find_spec

import numpy as np

MARK = "pytorch-ood "


def has_pytorch_ood():
    return find_spec("pytorch_ood") is not None


def detectors():
    """Return, by name, functions from the View of training rows to a score of Views."""
    if not has_pytorch_ood():
        return {}
    from pytorch_ood import detector as kinds

    of_logits = ["MaxSoftmax", "MaxLogit", "EnergyBased", "Entropy", "GEN", "KLMatching"]
    found = {name: _of_logits(getattr(kinds, name)) for name in of_logits}
    made = {
        "Mahalanobis": lambda train: kinds.Mahalanobis(None),
        "RMD": lambda train: kinds.RMD(None),
        "KNN": lambda train: kinds.KNN(None),
        "ViM": lambda train: kinds.ViM(None, _dimension(train), *_weights(train)),
        "SHE": lambda train: kinds.SHE(None, _head(train)),
        "NCI": lambda train: kinds.NCI(None, _head(train)),
        "fDBD": lambda train: kinds.fDBD(None, _head(train)),
        "NNGuide": lambda train: kinds.NNGuide(None, _head(train)),
        "PNML": lambda train: kinds.PNML(None, _head(train)),
    }
    found |= {name: _of_features(make) for name, make in made.items()}
    return {MARK + name: fit for name, fit in found.items()}


def _of_logits(kind):
    def fit(train):
        detector = kind(None)
        detector.fit_logits(_tensor(train.logits), _labels(train))
        return lambda new: _scores(detector.predict_logits, new.logits)

    return fit


def _of_features(make):
    def fit(train):
        detector = make(train)
        detector.fit_features(_tensor(train.features), _labels(train))
        return lambda new: _scores(detector.predict_features, new.features)

    return fit


def _scores(predict, rows):
    import torch

    with torch.no_grad():
        found = [predict(_tensor(part)) for part in np.array_split(rows, len(rows) // 500 + 1)]
    return -torch.cat(found).double().numpy()


def _tensor(rows):
    import torch

    return torch.as_tensor(np.ascontiguousarray(rows, dtype=np.float32))


def _labels(train):
    import torch

    return torch.as_tensor(np.asarray(train.labels, dtype=np.int64))


def _weights(train):
    """Return weights and biases of the head as torch keeps them."""
    weight, bias = (np.asarray(part, dtype=np.float32) for part in train.head)
    return _tensor(weight.T), _tensor(bias)


def _head(train):
    import torch

    weight, bias = _weights(train)
    head = torch.nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return head


def _dimension(train):
    d = train.features.shape[1]
    return 1000 if d >= 2048 else 512 if d >= 768 else d // 2
