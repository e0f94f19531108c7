"""The exact risk of weighted trigonometric interpolation on equidistant points."""

from numbers import Integral
from typing import Any

import numpy as np

from .._base.dtypes import check_numbers
from .._base.typed import ArrayLike


def trigonometric_risk(
    n_samples: int,
    n_frequencies: int | ArrayLike,
    variances: ArrayLike,
    *,
    weight_exponent: float = 0.0,
    noise_variance: float = 0.0,
) -> float | Any:
    """Return the exact expected error of a trigonometric fit, on either side of interpolation.

    A random function sum_k theta_k exp(2 pi i k x), with independent theta_k of mean zero and
    variance ``variances[k]``, is sampled at j / n_samples and fitted with the first
    ``n_frequencies`` of its frequencies. The fit is by least squares if there are no more of these
    than points, and otherwise it is the interpolant of least weighted norm,
    ``sum_k (k + 1)^(2 q) |theta_k|^2``.

    Parameters
    ----------
    n_samples : int
        Number of points n.
    n_frequencies : int or array-like of int
        Number of frequencies p of the fit, at most the number of variances. Several values give a
        curve.
    variances : array-like of shape (n_total,)
        Variances of the coefficients of frequencies 0, 1, and so on.
    weight_exponent : float, default=0.0
        Exponent q. 0 gives the plain interpolant of least norm.
    noise_variance : float, default=0.0
        Mean square of independent complex noise in each sample.

    Returns
    -------
    float or ndarray of shape (n_curve,)
        Expected squared distance of the coefficients, which is the mean squared error of the
        function over a period.

    Raises
    ------
    ValueError
        If an argument is out of range.

    See Also
    --------
    WeightedFourierRegressor : The fit itself.

    Notes
    -----
    Frequencies that agree modulo n are the same on the points. Let C_k be the sum of the variances
    in the class of frequency k, and w_k the share that (k + 1)^(-2 q) has in this class. For p > n
    the risk is sum_{k >= p} v_k + sum_{k < p} v_k (1 - 2 w_k) + w_k^2 (C_k + noise / n), as derived
    in ``doc/low_rank_and_smooth.md``. It takes O(n_total) time for each p.

    References
    ----------
    Y. Xie, H.-H. Chou, H. Rauhut, R. Ward, *Overparameterization and generalization error:
    weighted trigonometric interpolation*, arXiv:2006.08495 (the model, and exact expressions for
    plain and weighted least squares; the noise term is derived here).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import trigonometric_risk
    >>> variances = np.arange(1, 257) ** -2.0
    >>> curve = trigonometric_risk(16, [8, 16, 17, 256], variances, weight_exponent=1.0)
    >>> [float(round(risk, 4)) for risk in curve]
    [0.1486, 0.1134, 0.1133, 0.102]
    """
    variances = check_numbers(np.asarray(variances), "variances").astype(np.float64)
    if variances.ndim != 1 or not np.all(variances >= 0) or not np.isfinite(variances).all():
        raise ValueError(
            "variances must be a vector of finite numbers that are not negative, one for each "
            f"frequency; got shape {variances.shape}, with entries like {variances.ravel()[:3]}."
        )
    if not isinstance(n_samples, Integral) or n_samples < 1:
        raise ValueError(f"n_samples must be a positive integer, got {n_samples!r}.")
    if not np.isfinite(weight_exponent) or not noise_variance >= 0:
        raise ValueError(
            "weight_exponent must be finite and noise_variance not negative, got "
            f"weight_exponent={weight_exponent!r} and noise_variance={noise_variance!r}."
        )
    sizes = np.atleast_1d(n_frequencies)
    if sizes.dtype.kind not in "iu" or sizes.min() < 1 or sizes.max() > len(variances):
        raise ValueError(
            f"n_frequencies must be integers in [1, {len(variances)}], the number of variances, "
            f"got {n_frequencies!r}."
        )
    residues = np.arange(len(variances)) % n_samples
    aliased = np.bincount(residues, variances, n_samples) + noise_variance / n_samples
    penalties = -2.0 * weight_exponent * np.log(np.arange(len(variances)) + 1.0)
    risks = np.empty(len(sizes))
    for i, p in enumerate(sizes):
        classes = residues[:p]
        share = np.exp(penalties[:p])
        share /= np.bincount(classes, share, n_samples)[classes]
        kept = variances[:p] * (1.0 - 2.0 * share) + share**2 * aliased[classes]
        risks[i] = variances[p:].sum() + kept.sum()
    return risks if np.ndim(n_frequencies) else float(risks[0])
