"""Recover: from a sketch to sparse eigenpairs."""

from ._attainable import descending_order, without_rounding
from ._errors import lanczos_errors
from ._joint_solution import LARGE_SIZE, joint_principal_paths, joint_principal_vectors
from ._lifting import restricted_least_squares
from ._non_negative_steps import is_non_negative, joint_non_negative_vectors
from ._options import (
    NoiseName,
    NonzeroCounts,
    RankRule,
    RecoveryOptions,
    Which,
)
from ._pairs import RecoveryWarning, SparseEigenpairs, assemble_pairs
from ._polish import Polished, n_candidates, polish, wider_candidates
from ._rank import RULES, Rank, choose_rank, resolve_n_components, scree
from ._recover import find_candidates, recover
from ._sparse_principal import sparse_principal_vectors
from ._upper_bounds import upper_bounds
from .decoders import Decoder, DecoderName, make_decoder
from .decoders._base import largest_rows

__all__ = [
    "RecoveryWarning",
    "SparseEigenpairs",
    "find_candidates",
    "recover",
]
