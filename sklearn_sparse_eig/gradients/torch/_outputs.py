"""What a module returns: whether it is the same each time, and whether these are logits."""

import numpy as np
import torch

from ..._base.messages import warn_user
from ._inputs import Inputs, run

# Rows that are run again, to see whether the output changes.
_N_AGAIN = 16
# Largest relative differences that are rounding: of one computation that is repeated, and of the
# same rows in a smaller batch, for which other kernels may be used.
_REPEATED = {torch.float32: 1e-4, torch.float64: 1e-10}
_HALVED = {torch.float32: 2e-2, torch.float64: 1e-6}
# Fewer rows than this may have logits between 0 and 1 by accident.
_ENOUGH_ROWS = 16
_TOLERANCE = 1e-4


def check_output(module: torch.nn.Module, rows: Inputs) -> None:
    """Raise if the output of a sample changes from pass to pass, or with the other samples.

    Raises
    ------
    ValueError
        If it does.
    """
    rows = rows[:_N_AGAIN]
    with torch.no_grad():
        first = run(module, rows)
        if not torch.is_tensor(first) or first.dtype not in _REPEATED:
            return  # refused elsewhere
        # The module may return the same storage each time.
        first = first.clone()
        change = _change(first, run(module, rows))
        if change > _REPEATED[first.dtype]:
            cure = (
                "Call model.eval() first, and let functional dropout have training=self.training."
                if module.training
                else "Let functional dropout have training=self.training, and draw no random "
                "numbers in forward()."
            )
            raise ValueError(
                f"Two passes of the same {len(rows)} rows through {type(module).__name__} give "
                f"logits that differ by {change:.1%}: its output is random. {cure}"
            )
        half = (len(rows) + 1) // 2
        if len(first) != len(rows) or half < 2:
            return  # refused elsewhere, or too few to tell
        change = _change(first[:half], run(module, rows[:half]))
    if change > _HALVED[first.dtype]:
        raise ValueError(
            f"The logits that {type(module).__name__} returns for a row change by {change:.1%} "
            "with the other rows of a batch, so there is no gradient of one row. Give a module "
            "that treats rows one by one: its first axis is that of the samples "
            "(batch_first=True), and normalisation over a batch is in evaluation mode."
        )


def _change(first, second):
    if first.shape != second.shape:
        return np.inf
    size = torch.linalg.vector_norm(first, ord=torch.inf)
    return float(torch.linalg.vector_norm(first - second, ord=torch.inf) / size) if size else 0.0


def warn_if_no_logits(raw: np.ndarray, name: str) -> bool:
    """Warn if rows look like probabilities or their logarithms. Returns whether they do."""
    kind = _kind_of_probability(raw.astype(np.float64))
    if kind is None:
        return False
    warn_user(
        f"{name} returns {kind}, but logits are needed: gradients of probabilities vanish where "
        "the model is sure, and scores are then much worse. Give the module without its last "
        "softmax or sigmoid, for example torch.nn.Sequential(*list(model)[:-1]).eval()."
    )
    return True


def _kind_of_probability(raw):
    if not raw.size or not np.isfinite(raw).all():
        return None
    inside = len(raw) >= _ENOUGH_ROWS and raw.min() >= 0.0 and raw.max() <= 1.0
    if raw.shape[1] == 1:
        return "one number between 0 and 1 for each row, as of a sigmoid" if inside else None
    if raw.min() >= 0.0 and np.abs(raw.sum(axis=1) - 1.0).max() < _TOLERANCE:
        return "probabilities, which sum to one"
    if raw.max() <= 0.0 and np.abs(np.exp(raw).sum(axis=1) - 1.0).max() < _TOLERANCE:
        return "logarithms of probabilities, whose exponentials sum to one"
    return "numbers between 0 and 1, as of a sigmoid for each class" if inside else None
