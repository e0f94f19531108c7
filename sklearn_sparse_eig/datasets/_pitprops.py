"""The pit props correlation matrix, the usual first example of sparse PCA."""

from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch

_DESCR = """\
Pit props
---------

Correlations, to three decimals, between 13 physical measurements of 180 pit props (the timber
that held up mine galleries) cut from Corsican pine grown in East Anglia. The rows themselves were
never published, so the data are the 13 x 13 correlation matrix.

topdiam   top diameter of the prop          bowmax    greatest bow
length    length of the prop                bowdist   distance from the top to the greatest bow
moist     moisture content                  whorls    number of knot whorls
testsg    specific gravity when tested      clear     length of clear prop from the top
ovensg    oven-dry specific gravity         knots     average number of knots per whorl
ringtop   annual rings at the top           diaknot   average diameter of the knots
ringbut   annual rings at the base

The largest variance that a unit vector with k nonzero entries can explain is known exactly:
3.406 for k = 5 and 4.173 for k = 10.

Source: J. N. R. Jeffers, "Two case studies in the application of principal component analysis",
Journal of the Royal Statistical Society, Series C (Applied Statistics) 16(3), 225-236, 1967.
"""


def load_pitprops(*, as_frame: bool = False) -> Bunch:
    """Load the pit props correlation matrix (13 variables, 180 observations).

    Parameters
    ----------
    as_frame : bool, default=False
        Whether to add the matrix as a pandas DataFrame, with the names of the variables on both
        axes.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray of shape (13, 13), float64
            The correlation matrix: symmetric, positive definite, ones on the diagonal.
        feature_names : list of str, 13 names
            The variables, in the order of the rows.
        n_samples : int
            180, the number of props measured.
        DESCR : str
            What the variables mean and where they come from.
        frame : pandas.DataFrame of shape (13, 13)
            Only with ``as_frame=True``.

    Raises
    ------
    ImportError
        If ``as_frame=True`` and pandas is not installed.

    References
    ----------
    J. N. R. Jeffers, "Two case studies in the application of principal component analysis",
    Applied Statistics 16(3), 225-236, 1967.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig.datasets import load_pitprops
    >>> pitprops = load_pitprops()
    >>> pitprops.feature_names[:3]
    ['topdiam', 'length', 'moist']
    >>> float(np.linalg.eigvalsh(pitprops.data)[-1].round(3))
    4.219
    """
    with (files(__package__) / "data" / "pitprops.csv").open(encoding="utf-8") as lines:
        _, *names = next(lines).strip().split(",")
        matrix = np.loadtxt(lines, delimiter=",", usecols=range(1, len(names) + 1))
    bunch = Bunch(data=matrix, feature_names=names, n_samples=180, DESCR=_DESCR)
    if as_frame:
        import pandas as pd

        bunch.frame = pd.DataFrame(matrix, index=names, columns=names)
    return bunch
