"""Low rank without a rank: what gradient descent on a product of matrices learns, and when."""

from ._covariance import DeepFactorizationCovariance
from ._effective_rank import effective_rank
from ._factorization import DeepMatrixFactorization
from ._intervals import low_rank_intervals
from ._regressor import LowRankRegressor

__all__ = [
    "effective_rank",
    "low_rank_intervals",
]
