"""What gradient descent on over-parameterised models computes, without the descent."""

from ._learning_rates import LearningRatePath
from ._limit import InconsistentError, flow_limit
from ._paths import diagonal_network_path, learning_rate_path
from ._potential import Potential, l1_gap_bound
from ._regressor import DiagonalNetworkRegressor
from ._regressor_cv import DiagonalNetworkRegressorCV

__all__ = [
    "LearningRatePath",
    "l1_gap_bound",
]
