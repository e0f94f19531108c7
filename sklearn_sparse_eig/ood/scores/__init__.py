"""Scores of a sample from where its gradient lies; high means like the known classes.

A score is a function of the output and the :class:`Place` of its gradient. To add one here: a file
with a function that is decorated with :func:`register_score`, whose name is then a value of
``score_function``.
"""

from ..._base.folders import import_files
from ._place import Place
from ._registry import SCORES, Score, ScoreName, register_score, score

__all__ = ["SCORES", "Place", "Score", "ScoreName", "register_score", "score"]

import_files(__name__)
