"""Every display at the width of a column: nothing is cut, nothing overprints, and the numbers."""

from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import (
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    diagonal_network_path,
    support_stability,
)
from sklearn_sparse_eig.plotting import (
    ComponentsDisplay,
    EffectiveRankDisplay,
    OODScoresDisplay,
    PhaseDiagramDisplay,
    RegularizationPathDisplay,
    ScreeDisplay,
    SupportMapDisplay,
    SupportStabilityDisplay,
    plot_collapse,
)
from sklearn_sparse_eig.plotting._style import PALETTE, STROKES, shortened

COLUMN = 3.4
RNG = np.random.default_rng(0)


def planted(n_features):
    X = RNG.normal(size=(200, n_features))
    X[:, :4] += 5 * RNG.normal(size=(200, 1)) * [1, -1, 1, 1]
    X[:, 10:14] += 3 * RNG.normal(size=(200, 1))
    return X


X = planted(30)
NAMES = [f"the name of a feature that is number {j}" for j in range(30)]
SCORES = {
    name: (RNG.lognormal(m, size=300), RNG.lognormal(0.0, size=100))
    for name, m in [("detector", 2.0), ("probability of the predicted class", 1.5), ("norm", 1.0)]
}
LOGISTIC = np.linspace(0.01, 0.99, 50)
LOGISTIC = np.log(LOGISTIC / (1.0 - LOGISTIC))
MATRIX = np.outer(RNG.normal(size=20), RNG.normal(size=15))
MATRIX += 0.3 * np.outer(RNG.normal(size=20), RNG.normal(size=15))


@pytest.fixture(autouse=True)
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.fixture(scope="module")
def pca():
    return SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0).fit(X)


@pytest.fixture(scope="module")
def stability():
    pca = SketchedSparsePCA(2, n_nonzero_coefs=6, random_state=0)
    return support_stability(pca, X, n_resamples=10, random_state=0)


def components(pca, plt, rows=2, columns=1):
    shape = {"figsize": (COLUMN, 1.8 * rows), "layout": "constrained"}
    axes = plt.subplots(rows, columns, **shape)[1]
    return ComponentsDisplay.from_estimator(pca, NAMES, ax=axes)


def side_by_side(plt):
    axes = plt.subplots(1, 2, figsize=(COLUMN, 2.2), layout="constrained")[1]
    return OODScoresDisplay.from_predictions(SCORES, threshold=2.5, ax=axes)


def both_signs_beside(plt):
    axes = plt.subplots(1, 2, figsize=(COLUMN, 2.2), layout="constrained")[1]
    return ComponentsDisplay(
        [[("a feature of a long name", -0.45), ("the other feature", 0.45)]] * 2
    ).plot(axes)


def many_detectors():
    weak = {f"detector of that name, {k}": (LOGISTIC, LOGISTIC - 0.4 * k) for k in range(7)}
    return OODScoresDisplay.from_predictions(SCORES | weak)


@cache
def factorization():
    return DeepMatrixFactorization().fit(MATRIX)


def phases(plt=None):
    x, y = np.arange(10, 130, 10), np.array([1, 2, 4, 6, 9, 12, 16, 20, 25, 30, 40, 50, 60])
    shares = 1.0 / (1.0 + np.exp(y[:, None] - x / 4.0))
    labels = {"xlabel": "equations", "ylabel": "nonzeros", "label": "share solved"}
    return PhaseDiagramDisplay(shares, x, y, **labels).plot()


DRAWN = {
    "components": lambda pca, _, plt: components(pca, plt),
    "components beside": lambda pca, _, plt: components(pca, plt, 1, 2),
    "both signs beside": lambda *a: both_signs_beside(a[-1]),
    "map": lambda pca, *_: SupportMapDisplay.from_estimator(pca, NAMES),
    "scree": lambda pca, *_: ScreeDisplay.from_estimator(pca),
    "stability": lambda _, stability, plt: SupportStabilityDisplay.from_stability(stability),
    "scores": lambda *_: OODScoresDisplay.from_predictions(SCORES, threshold=2.5),
    "scores beside": lambda pca, _, plt: side_by_side(plt),
    "many scores": lambda *_: many_detectors(),
    "rank": lambda *_: EffectiveRankDisplay.from_estimator(factorization()),
    "path": lambda *_: RegularizationPathDisplay.from_estimator(
        DiagonalNetworkRegressor(), X, X[:, 0] - X[:, 1], names=NAMES, n_alphas=20
    ),
    "phases": lambda *_: phases(),
}


def boxes(labels, renderer):
    shown = [label for label in labels if label.get_visible() and label.get_text()]
    return [label.get_window_extent(renderer) for label in shown]


def ticks_in_view(axis):
    low, high = sorted(axis.get_view_interval())
    return [
        tick.label1
        for tick in axis.get_major_ticks()
        if low - 1e-9 <= tick.get_loc() <= high + 1e-9 and tick.label1.get_visible()
    ]


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_and_nothing_overprints_in_a_column(name, pca, stability, plt):
    figure = DRAWN[name](pca, stability, plt).figure_
    assert figure.get_figwidth() == pytest.approx(COLUMN)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    width, height = figure.bbox.width, figure.bbox.height
    # All that is drawn, in inches: a share of a letter may stand over where figures are saved.
    tight = figure.get_tightbbox(renderer)
    assert tight.x0 >= -0.02 and tight.y0 >= -0.02
    assert tight.x1 <= width / figure.dpi + 0.02 and tight.y1 <= height / figure.dpi + 0.02
    titles = []
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            found = boxes(ticks_in_view(axis), renderer)
            apart = [not a.overlaps(b) for i, a in enumerate(found) for b in found[:i]]
            assert all(apart), (name, axis)
        titles += boxes([axes._left_title, axes.title], renderer)
        # The bars or curves have the better part of their place.
        if not axes.get_label() == "<colorbar>":
            assert axes.get_position().width * width > 0.25 * width / len(figure.axes)
    assert all(not a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])
    for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize")):
        assert not text.get_text() or text.get_fontsize() >= 7


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def contrast(artist, paper):
    """Return the contrast of an artist as WCAG 2.2 defines it, from 1 to 21."""
    from matplotlib.colors import to_rgb

    first, second = luminance(to_rgb(artist.get_color())), luminance(paper)
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("name", DRAWN)
def test_ink_is_told_from_paper(name, style, pca, stability, plt):
    with plt.style.context(style, after_reset=True):
        figure = DRAWN[name](pca, stability, plt).figure_
    for axes in figure.axes:
        for line in axes.lines:
            # Helping lines are faint. Of the palette, orange and sky blue are faint on white.
            is_curve = not line.get_label().startswith("_")
            assert contrast(line, axes.get_facecolor()) > (2.2 if is_curve else 1.5), line
        for text in axes.findobj(plt.Text):
            # The level that WCAG asks for, 1.4.3.
            assert contrast(text, axes.get_facecolor()) > 4.5 or not text.get_text(), text


def legends_of(figure):
    return [axes.get_legend() for axes in figure.axes if axes.get_legend()] + figure.legends


@pytest.mark.parametrize("name", DRAWN)
def test_no_curve_passes_behind_the_names_of_curves(name, pca, stability, plt):
    figure = DRAWN[name](pca, stability, plt).figure_
    figure.canvas.draw()
    for legend in legends_of(figure):
        if legend.get_frame_on():
            # On a ground of its own, behind which curves fade.
            assert legend.get_frame().get_alpha() > 0.8
            assert legend.get_zorder() > 2
            continue
        for text in legend.get_texts():
            box = text.get_window_extent()
            for line in (line for axes in figure.axes for line in axes.lines):
                path = line.get_transform().transform_path(line.get_path())
                assert not path.intersects_bbox(box, filled=False), (text, line)


@pytest.mark.parametrize("name", DRAWN)
def test_axes_say_what_they_show(name, pca, stability, plt):
    display = DRAWN[name](pca, stability, plt)
    axes = np.ravel(np.asarray(display.ax_, dtype=object))
    assert axes[-1].figure is display.figure_
    assert axes[-1].get_xlabel()
    figure, given = plt.subplots(len(axes), 1, squeeze=False)
    again = display.plot(ax=given.ravel() if len(axes) > 1 else given[0, 0])
    assert again is display and display.figure_ is figure


def test_names_in_the_default_figure_are_whole_up_to_thirty_letters(pca):
    display = ComponentsDisplay.from_estimator(
        pca, [f"a feature of some length, {j}" for j in range(30)]
    )
    shown = [label.get_text() for label in display.ax_[0].get_yticklabels()]
    assert all(name.startswith("a feature of some length, ") for name in shown)


def test_names_are_shortened_in_the_middle():
    assert shortened("short", 5) == "short"
    assert shortened("gene number 12345", 10) == "gene n\u2026345"
    assert len(shortened("x" * 50, 1)) == 3
    assert shortened(12, 5) == "12"


def test_the_map_shows_the_loadings(pca):
    display = SupportMapDisplay.from_estimator(pca)
    dense = pca.components_.toarray()
    rows = [int(name) for name in display.names]
    np.testing.assert_array_equal(display.image_.get_array(), dense[:, rows].T)
    assert sorted(rows) == pca.support_.tolist()
    home = np.abs(dense[:, rows]).argmax(axis=0)
    assert (np.diff(home) >= 0).all()  # component by component
    few = SupportMapDisplay.from_estimator(pca, dict(enumerate(NAMES)), max_features=3)
    largest = np.argsort(-np.abs(dense).max(axis=0))[:3]
    assert set(few.names) == {NAMES[j] for j in largest}


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
def test_what_auto_counts_stands_above_the_level(compressed, noise):
    X, size = planted(100 if compressed else 30), {}
    if compressed:
        size = {"n_measurements": 60, "range_size": 30}
    pca = SketchedSparsePCA("auto", noise=noise, n_nonzero_coefs=4, random_state=0, **size).fit(X)
    display = ScreeDisplay.from_estimator(pca, n_values=12)
    above = display.eigenvalues > display.detection_level
    assert np.argmin(np.append(above, False)) == pca.n_components_
    assert noise == "diagonal" or pca.n_components_ == 2
    assert (display.noise_variance < display.detection_level).all()
    if not compressed and noise == "isotropic":
        values = np.linalg.eigvalsh(np.cov(X.T, ddof=0))[::-1][:12]
        np.testing.assert_allclose(display.eigenvalues, values)
        assert display.noise_variance[2] == pytest.approx(1.0, rel=0.2)
    np.testing.assert_array_equal(display.line_.get_ydata(), display.eigenvalues)


def test_the_chosen_one_is_shown():
    chosen = SketchedSparsePCACV([1, 2], [4], cv=2, random_state=0).fit(X)
    assert len(ComponentsDisplay.from_estimator(chosen).ax_) == chosen.n_components_
    assert ScreeDisplay.from_estimator(chosen).n_components == chosen.n_components_
    assert SupportMapDisplay.from_estimator(chosen).loadings.shape[1] == chosen.n_components_


def test_stability_falls_from_one(stability):
    display = SupportStabilityDisplay.from_stability(stability, threshold=0.9)
    assert len(display.lines_) == 2
    for line, row in zip(display.lines_, stability.frequencies, strict=True):
        shown = line.get_ydata()
        np.testing.assert_allclose(shown, -np.sort(-row)[: len(shown)])
    pca = SketchedSparsePCA(2, n_nonzero_coefs=6, random_state=0)
    same = SupportStabilityDisplay.from_estimator(pca, X, n_resamples=10, random_state=0)
    np.testing.assert_array_equal(same.frequencies, stability.frequencies)


def test_scores_of_a_detector():
    class Detector:
        offset_ = -1.0

        def score_samples(self, X):
            return np.asarray(X, dtype=float)

    known, new = RNG.normal(1.0, size=50), RNG.normal(-1.0, size=30)
    display = OODScoresDisplay.from_estimator(Detector(), known, new)
    assert list(display.scores) == ["Detector"]
    np.testing.assert_array_equal(display.threshold_line_.get_xdata(), [-1.0, -1.0])
    area = (known[:, None] > new).mean()
    assert f"Detector ({area:.3f})" == display.lines_[0].get_label()


def test_curves_differ_in_stroke_and_colour():
    display = OODScoresDisplay.from_predictions(SCORES)
    styles = {(line.get_linestyle(), line.get_color()) for line in display.lines_}
    assert len({stroke for stroke, _ in styles}) == len({color for _, color in styles}) == 3
    assert display.threshold_line_ is None
    assert len(set(PALETTE)) == len(PALETTE) and len(STROKES) >= 6


def test_the_rank_is_that_of_the_path():
    model = factorization()
    display = EffectiveRankDisplay.from_estimator(model, times=np.geomspace(0.1, 100, 20))
    np.testing.assert_allclose(display.line_.get_ydata(), model.path(display.times)[1])
    starts = [span.get_extents().x0 for span in display.spans_]
    assert len(starts) >= 1
    with pytest.raises(ValueError, match="missing entries"):
        missing = np.where(RNG.random(MATRIX.shape) < 0.2, np.nan, MATRIX)
        EffectiveRankDisplay.from_estimator(DeepMatrixFactorization(random_state=0).fit(missing))


def test_the_path_is_that_of_the_function():
    y = X[:, 0] - 0.5 * X[:, 11] + 2.0
    centred = X - X.mean(axis=0)
    alphas, coefs, _ = diagonal_network_path(centred, y - y.mean(), n_alphas=10)
    display = RegularizationPathDisplay.from_estimator(
        DiagonalNetworkRegressor(), X, y, n_alphas=10
    )
    np.testing.assert_allclose(display.coefs, coefs)
    np.testing.assert_allclose(display.alphas, alphas)
    assert display.lines_[0].get_label() == "0"
    assert display.ax_.xaxis_inverted()


def test_the_boundary_is_where_half_are_solved():
    shares = np.array([[1.0, 1.0, 0.2], [0.4, 0.9, 0.1], [0.0, 0.7, 0.0]])
    display = PhaseDiagramDisplay(shares, [1, 2, 3], [4, 5, 6], xlabel="x", ylabel="y").plot()
    np.testing.assert_array_equal(display.boundary_.get_data().values, [0.5, 2.5, -0.5])
    bare = PhaseDiagramDisplay(shares, [1, 2, 3], [4, 5, 6], xlabel="x", ylabel="y")
    assert bare.plot(colorbar=False).colorbar_ is None
    with pytest.raises(ValueError, match=r"shape \(n_y, n_x\) = \(2, 3\), got \(3, 3\)"):
        PhaseDiagramDisplay(shares, [1, 2, 3], [4, 5], xlabel="x", ylabel="y")


def test_collapse_has_strokes_of_its_own(plt):
    steps = np.arange(5)
    names = ["nc1", "nc2", "nc3", "nc4", "nc5", "tangent_centered_alignment"]
    columns = {"step": steps} | {name: 1.0 / (1.0 + steps) for name in names}
    panels = plot_collapse(columns)
    assert len({line.get_linestyle() for line in panels[1].lines}) == 4


def test_a_path_is_the_same_of_sparse_rows_and_of_one_chosen_by_cross_validation():
    y = X[:, 0] + RNG.normal(size=len(X))
    dense = RegularizationPathDisplay.from_estimator(DiagonalNetworkRegressor(), X, y, n_alphas=5)
    sparse = RegularizationPathDisplay.from_estimator(
        DiagonalNetworkRegressor(), sp.csr_array(X), y, n_alphas=5
    )
    np.testing.assert_allclose(sparse.coefs, dense.coefs)
    chosen = DiagonalNetworkRegressorCV(4, [0.1], stopping_times=[5.0], cv=2).fit(X, y)
    found = RegularizationPathDisplay.from_estimator(chosen, X, y, n_alphas=5)
    np.testing.assert_allclose(found.coefs, dense.coefs)


def test_what_cannot_be_shown_is_refused(pca):
    with pytest.raises(TypeError, match="DiagonalNetworkRegressor, .* got SketchedSparsePCA"):
        RegularizationPathDisplay.from_estimator(pca, X, X[:, 0])
    with pytest.raises(TypeError, match="DeepMatrixFactorization .* got SketchedSparsePCA"):
        EffectiveRankDisplay.from_estimator(pca)
    for times in ([], [np.inf]):
        with pytest.raises(ValueError, match="times must be finite"):
            EffectiveRankDisplay.from_estimator(factorization(), times)
    for n in (0, -1, 2.5):
        with pytest.raises(ValueError, match="n_values must be None"):
            ScreeDisplay.from_estimator(pca, n_values=n)
        with pytest.raises(ValueError, match="max_features must be None"):
            SupportMapDisplay.from_estimator(pca, max_features=n)
    with pytest.raises(ValueError, match="There are 1 names"):
        SupportMapDisplay.from_estimator(pca, ["a"])
    for threshold in (-0.1, 75, np.nan, "0.75"):
        with pytest.raises(ValueError, match=r"threshold must be a share in \[0, 1\]"):
            SupportStabilityDisplay([[1.0, 0.5]], threshold=threshold)
        with pytest.raises(ValueError, match=f"got {threshold!r}"):
            # Before the work: these rows cannot be halved.
            SupportStabilityDisplay.from_estimator(pca, None, threshold=threshold)
    for known, message in [([], "at least one"), ([[1.0]], "at least one"), ([np.nan], "1 of 1")]:
        with pytest.raises(ValueError, match=f"known inputs of 'a'.* {message}"):
            OODScoresDisplay.from_predictions({"a": (known, [1.0])})
