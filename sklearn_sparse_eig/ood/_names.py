"""The names of scores and of kinds of known gradients that are registered here.

One that is registered elsewhere is passed by its name where types are not checked.
"""

from typing import Literal

ScoreName = Literal["snr_ratio", "ratio", "snr", "laplace"]
SubspaceName = Literal["auto", "exact", "sketched", "sparse_pca"]
