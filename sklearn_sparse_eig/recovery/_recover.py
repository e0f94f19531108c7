"""From a sketch to sparse eigenpairs: spectrum -> support -> small eigenproblem.

The work is done by the power steps (``_power_steps``). Here their result is refitted, judged and
reported. The derivation is in ``doc/how_the_sketch_works.md``.
"""

from dataclasses import replace
from typing import Unpack

import numpy as np

from .._base.locks import locked
from .._base.messages import warn_user
from .._base.threads import limit_blas
from ..sketching import SketchReading
from ._attainable import capped, descending_order, without_rounding
from ._decoded_apart import leaves_features, warn_of_features_left
from ._errors import sketch_errors
from ._false_alarms import overall_strength
from ._lifting import orthonormal_range
from ._lost_features import solve_with_decoders
from ._noise import IsotropicNoise
from ._non_negative_steps import without_negative_entries
from ._options import RankRule, RecoveryOptions
from ._pairs import RecoveryWarning, SparseEigenpairs, assemble_pairs
from ._request import RecoveryRequest
from ._settled_sizes import with_settled_sizes
from ._support_model import fit_support_model
from ._whitening import can_whiten, in_own_units, solve_whitened

# Features of a component from which it is hard to read.
_LONG = 100


def recover(
    sketch: SketchReading, n_components: int | RankRule, **options: Unpack[RecoveryOptions]
) -> SparseEigenpairs:
    """Recover sparse eigenpairs from a sketch.

    Parameters
    ----------
    sketch : EigenSketch
        A sketch of rows or of matrix entries.
    n_components : int or {"auto", "plateau"}
        Number of eigenpairs r. "auto" counts the eigenvalues of the sketch above the edge of white
        noise; "plateau" takes the rank before the largest ratio of two consecutive eigenvalues
        above that edge. Both return between 1 and 32.
    **options
        The options that follow, as keywords.
    n_nonzero_coefs : int, sequence of int or "auto", default="auto"
        Number of nonzeros of each vector. "auto" keeps what stands out from noise.
    decoder : {"auto", "htp", "bit_test", "median", "diagonal_network"} or Decoder, default="auto"
        Method that finds supports if the measurement is compressed. "auto" is "htp", which sweeps
        over all features, unless the sketch identifies features and "bit_test" is quicker, from
        about a million features on. If features are then so weak that it may have missed some, and
        a sweep takes no more than some ten seconds, "auto" makes sweeps as well, and keeps the
        better result.
    noise : {"auto", "isotropic", "diagonal"} or None, default="auto"
        Model of independent noise in the features. "auto" is "isotropic" for a sketch of rows and
        None for a sketch of matrix entries. "diagonal" needs feature moments, and does not go with
        ``which="SA"``.
    which : {"LA", "SA", "LM"}, default="LA"
        Which eigenvalues to find: the algebraically largest, the algebraically smallest, or those
        of largest magnitude.
    max_iter : int, default=12
        Largest number of power steps.
    max_candidates : int or None, default=None
        Largest number of features among which the vectors are sought at last, unless they are to
        have more nonzeros in all. It bounds memory and time; None means 1000.
    n_hypotheses : int or None, default=None
        Number of features from which those of the sketch were chosen, for the detection levels of
        "auto". None means the number of features of the sketch.
    start_vectors : ndarray of shape (n_features, n_components) or None, default=None
        Guesses at the vectors, which are tried among the starts if all features are candidates.
    random_state : int or Generator, default=0
        Seed of some starts of the small eigenproblem.
    verbose : int, default=0
        Whether to report steps and sweeps over the features that take long, with the time left.
    positive : bool, default=False
        Whether vectors must have no negative entries. The unconstrained vectors are kept if they
        have none; the others are the best of several local optima among the candidates, for which
        nothing is certified.
    noise_is_known : bool, default=False
        Whether to suppress the warning that components cannot be told from noise, because the
        caller has given one already.
    product_variance : callable or None, default=None
        For an exact sketch of rows: takes V of shape (n_features, r) and returns the variances over
        the rows of the products (x_i - mean) (v_j^T x - mean), of the same shape. The levels of
        "auto" follow from them, instead of from those that Gaussian rows would have, and a warning
        tells of components that rest on a few rows of large values.

    Returns
    -------
    SparseEigenpairs

    Raises
    ------
    ValueError
        If the sketch is empty or too small for n_components, or a parameter is out of range.

    Warns
    -----
    RecoveryWarning
        If the sketch is too small for the sparsity asked for, if a decoder that takes vectors one
        by one has missed features, if a component is not distinguishable
        from noise, if the spectrum decays so slowly that no support is better than the next, if
        components of size "auto" rest on a few rows, if the recovery takes more than 30 seconds at
        verbose=0, if a rule for n_components finds nothing above noise, or too much, or if "auto"
        keeps more than 100 features in a component.

    Notes
    -----
    The method is derived in ``doc/how_the_sketch_works.md``. The spectrum takes O(m k^2) time. Each
    power step takes O(m k r), and O(N K r) to score all features if M is compressed. The small
    problem on p <= 1000 candidates takes O(p^2 s).
    """
    request = RecoveryRequest.of(sketch, n_components, **options)
    # The sketch is read wherever its matrix is multiplied, and must not change meanwhile.
    with locked(sketch), limit_blas(1):
        steps, found = _solved(sketch, request)
        strength = _strengths(steps, found)
        lost = leaves_features(steps, found)
        if steps.sketch is not sketch:
            steps, found = in_own_units(sketch, request, steps, found)
        # Vectors in another order, or made orthogonal, span the same: one model serves them all.
        full = _full_model(steps, found, found.vectors)
        order = _order(steps, found, full)
        found = replace(found, vectors=found.vectors[:, order])
        pairs = _pairs(steps, found, full, strength[order])
    if not request.noise_is_known and (pairs.signal_to_threshold <= 1.0).any():
        _warn_of_noise(
            request.sees_everything, steps.noise.differs_by_feature and not can_whiten(sketch)
        )
    elif lost:
        warn_of_features_left(steps.decoder)
    elif found.wanders:
        _warn_of_slow_decay()
    if found.rests_on_few_rows:
        _warn_of_few_rows()
    if request.sizes is None and sketch.content == "rows":
        _warn_of_length(np.diff(pairs.eigenvectors.indptr).max())
    return pairs


def find_candidates(
    sketch: SketchReading, n_components: int | RankRule, **options: Unpack[RecoveryOptions]
) -> tuple[np.ndarray, float]:
    """Find candidates for the features of the sparse vectors, without solving for the vectors.

    This is for callers that can read these columns of the data again.

    Parameters
    ----------
    sketch, n_components, **options
        Arguments of :func:`recover`.

    Returns
    -------
    ids : ndarray of int64
        Sorted ids of the candidates. There are at most 1000 if ``n_nonzero_coefs`` is given.
    noise_variance : float
        Estimated variance of the noise in a feature.
    """
    request = RecoveryRequest.of(sketch, n_components, **options)
    lost = False
    with locked(sketch), limit_blas(1):
        # Sizes that are given need no vectors to be settled, unless they settle the noise.
        if request.sizes is None or _is_whitened(sketch, request):
            steps, found = _solved(sketch, request)
            lost = leaves_features(steps, found)
            if steps.sketch is not sketch:
                steps, found = in_own_units(sketch, request, steps, found)
            span = orthonormal_range(found.vectors)
            model = fit_support_model(sketch, found.S, found.ids, span, "LA")
        else:
            steps, found = solve_with_decoders(
                sketch, request, lambda steps: steps.joint_steps(steps.max_iter)
            )
            model, lost = found.model, leaves_features(steps, found)
    if lost:
        warn_of_features_left(steps.decoder)
    return found.ids, steps.noise_variance(model)


def _solved(sketch, request):
    """Return the steps and what they found, in whitened units where these can be had."""
    if _is_whitened(sketch, request):
        steps, found = solve_whitened(sketch, request)
    else:
        steps, found = solve_with_decoders(sketch, request)
    if request.sizes is None and sketch.is_exact and sketch.content == "rows":
        found = with_settled_sizes(steps, found)
    return without_negative_entries(steps, found, request) if request.positive else (steps, found)


def _is_whitened(sketch, request):
    return request.noise == "diagonal" and can_whiten(sketch)


def _strengths(steps, found):
    """Return the strength of each vector, 1 where noise might have made it."""
    return np.minimum(steps.strength(found), overall_strength(steps, found))


def _pairs(steps, found, full, strength):
    """Return the eigenpairs found by the steps, with all that is known of them."""
    used = np.any(found.vectors != 0, axis=1)
    ids, vectors = found.ids[used], found.vectors[used]
    span = fit_support_model(steps.sketch, found.S, ids, orthonormal_range(vectors), "LA")
    eigenvalues = _variances(steps, found, full, found.vectors)
    # Gram-Schmidt in the order of the components: each is credited with what it adds.
    turned = np.linalg.qr(found.vectors)[0]
    if full.basis.shape[1] < turned.shape[1]:  # vectors that depend on each other
        full_of_turned = _full_model(steps, found, turned)
    else:
        full_of_turned = full
    added_variance = _variances(steps, found, full_of_turned, turned)
    if steps.sketch.content == "rows":
        eigenvalues = without_rounding(eigenvalues)
        added_variance = without_rounding(added_variance)
        strength = np.where((eigenvalues > 0.0) & (added_variance > 0.0), strength, 0.0)
        own = steps.sketch.feature_variance()
        if own is not None and not steps.sketch.is_exact:
            eigenvalues, added_variance = capped(eigenvalues, added_variance, vectors, own[ids])
    noise_variance = steps.noise_variance(span)
    vector_errors, value_errors = sketch_errors(
        steps.sketch, found.S, found.model, full, found.vectors
    )
    return assemble_pairs(
        ids,
        vectors,
        steps.sign * eigenvalues,
        steps.sketch.n_features,
        added_variance=steps.sign * added_variance,
        residual=_residual(steps, found.S, span),
        noise_variance=noise_variance,
        signal_to_threshold=strength,
        eigenvector_errors=vector_errors,
        eigenvalue_errors=value_errors,
        n_iter=found.n_iter,
        stop_reason=found.reason,
    )


def _order(steps, found, model):
    """Return the order of the components: descending, unless each was given a size of its own."""
    r = found.vectors.shape[1]
    sizes_differ = steps.sizes is not None and np.ptp(steps.sizes) > 0
    if steps.sketch.content != "rows" or steps.sign < 0.0 or sizes_differ:
        return np.arange(r)

    def variances(vectors):
        return model.quadratic(vectors) + steps.noise.quadratic(vectors, found.ids)

    return descending_order(found.vectors, variances)


def _variances(steps, found, model, vectors):
    """Return v^T A v for vectors in the span of the model, with rows at the ids found."""
    return model.quadratic(vectors) + steps.noise.quadratic(vectors, found.ids)


def _full_model(steps, found, vectors):
    """Return the model on the span of the vectors and of what else stands out.

    Without it, other eigenvectors of A would leak into these.
    """
    Z = orthonormal_range(np.hstack([vectors, steps.rest(found)]))
    return fit_support_model(steps.sketch, found.S, found.ids, Z, "LA")


def _residual(steps, S, span):
    if steps.only_reports_noise:
        S = IsotropicNoise(steps.sketch).correct(S, span)
        span = fit_support_model(steps.sketch, S, span.ids, span.basis, "LA")
    size = np.sqrt(S.squared_norm)
    return span.distance(S) / size if size > 0.0 else 0.0


def _warn_of_few_rows():
    warn_user(
        "Some components rest on a few rows of large values: judged by the rows themselves, none "
        "of their features stands out, and others would have taken their place in other rows. Take "
        "logarithms of counts, remove outlying rows or give n_nonzero_coefs as a number.",
        RecoveryWarning,
    )


def _warn_of_slow_decay():
    warn_user(
        "The spectrum decays slowly: supports of nearly the same variance took turns, and the one "
        "that holds most was kept. Other features would do nearly as well. Larger n_nonzero_coefs "
        "or other n_components are more stable; fit with refine='data' compares the features "
        "exactly where the rows can be read again.",
        RecoveryWarning,
    )


def _warn_of_length(largest):
    if largest > _LONG:
        warn_user(
            f"n_nonzero_coefs='auto' keeps more than {_LONG} features in a component. Most of them "
            "do vary with it, if a little, as most words of a text do; where rows are not read "
            "twice, counts that are rarely nonzero and then large pass by chance too. For "
            "components to be read give a number, 10 to 30 say, or take logarithms of counts.",
            RecoveryWarning,
        )


def _warn_of_noise(sees_everything, is_loud):
    # The same words for any number of components: Python shows a warning once for each line and
    # text, not once in each fold of a search.
    remedy = "Ask for fewer components or give more rows."
    if not sees_everything:
        remedy = (
            "Ask for fewer components, give more rows, or allow a larger sketch (memory_budget, "
            "n_measurements and range_size)."
        )
    if is_loud:
        remedy += (
            " Features that were hashed together cannot be weighed by their noise in one pass: "
            "use fit with refine='data', or measurement='identity'."
        )
    warn_user(
        "Some components cannot be told from noise, those of signal_to_threshold <= 1: no entry "
        f"stands above the level that idle features reach, or there is no such variance. {remedy}",
        RecoveryWarning,
    )
