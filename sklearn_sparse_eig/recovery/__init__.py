"""Recover: from a sketch to sparse eigenpairs."""

from ._pairs import RecoveryWarning, SparseEigenpairs
from ._recover import find_candidates, recover

__all__ = ["RecoveryWarning", "SparseEigenpairs", "find_candidates", "recover"]
