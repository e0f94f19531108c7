"""What gradient descent on over-parameterised models computes, without the descent."""

from ._learning_rates import LearningRatePath
from ._potential import l1_gap_bound

__all__ = ["LearningRatePath", "l1_gap_bound"]
