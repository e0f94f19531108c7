"""The scalars whose gradients are taken: functions of the logits, with their derivatives."""

from numbers import Integral
from typing import get_args

import numpy as np

from ._choices import OutputName

OUTPUTS: tuple[OutputName, ...] = get_args(OutputName)


def scalar_output(logits: np.ndarray, output: OutputName | int) -> tuple[np.ndarray, np.ndarray]:
    """Return a scalar of each row of logits and its derivative with respect to them.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
    output : {"max", "logsumexp", "sum", "loss"} or int
        The largest logit; the logarithm of the sum of their exponentials; their sum; minus the
        logarithm of the probability of the predicted class; or the logit of this index.

    Returns
    -------
    values : ndarray of shape (n_samples,)
    derivatives : ndarray of shape (n_samples, n_classes)

    Raises
    ------
    ValueError
        If the output is not known.
    """
    if isinstance(output, Integral):
        derivatives = np.zeros_like(logits)
        derivatives[:, output] = 1.0
        return logits[:, output], derivatives
    if output == "sum":
        return logits.sum(axis=1), np.ones_like(logits)
    largest = logits.max(axis=1)
    predicted = np.zeros_like(logits)
    predicted[np.arange(len(logits)), logits.argmax(axis=1)] = 1.0
    if output == "max":
        return largest, predicted
    if output not in OUTPUTS:
        raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {output!r}.")
    exponentials = np.exp(logits - largest[:, None])
    total = exponentials.sum(axis=1)
    probabilities = exponentials / total[:, None]
    if output == "logsumexp":
        return largest + np.log(total), probabilities
    return np.log(total), probabilities - predicted
