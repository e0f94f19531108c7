"""Recover: from a sketch to sparse eigenpairs."""

from ._errors import lanczos_errors
from ._lifting import restricted_least_squares
from ._pairs import RecoveryWarning, SparseEigenpairs, assemble_pairs
from ._polish import Polished, polish
from ._rank import RULES, resolve_n_components
from ._recover import find_candidates, recover
from ._sparse_principal import sparse_principal_vectors
from .decoders import Decoder, make_decoder
from .decoders._base import largest_rows

__all__ = [
    "Decoder",
    "RULES",
    "RecoveryWarning",
    "Polished",
    "SparseEigenpairs",
    "assemble_pairs",
    "find_candidates",
    "lanczos_errors",
    "largest_rows",
    "make_decoder",
    "polish",
    "recover",
    "resolve_n_components",
    "restricted_least_squares",
    "sparse_principal_vectors",
]
