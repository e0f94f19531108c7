"""The display of components."""

import builtins

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.plotting import ComponentsDisplay, plot_ood_scores


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 30))
    X[:, :4] += 5 * rng.normal(size=(200, 1)) * [1, -1, 1, 1]
    X[:, 10:14] += 3 * rng.normal(size=(200, 1))
    return SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0).fit(X)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_bars_are_the_loadings(fitted, plt):
    display = ComponentsDisplay.from_estimator(fitted)
    assert len(display.ax_) == len(display.bars_) == 2
    for axes, bars, described in zip(display.ax_, display.bars_, fitted.describe(), strict=True):
        assert axes.figure is display.figure_
        assert [bar.get_width() for bar in bars] == [loading for _, loading in described]
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == [str(feature) for feature, _ in described]
        assert axes.yaxis_inverted()  # the largest on top
    positive, negative = (
        {bar.get_facecolor() for bar in display.bars_[0] if bar.get_width() * sign > 0}
        for sign in (1, -1)
    )
    assert len(positive) == len(negative) == 1
    assert positive != negative
    assert f"{fitted.explained_variance_ratio_[0]:.1%}" in display.ax_[0].get_title(loc="left")


def test_names_come_from_a_sequence_or_a_mapping(fitted, plt):
    def shown(names):
        display = ComponentsDisplay.from_estimator(fitted, names, max_features=3)
        return [label.get_text() for label in display.ax_[1].get_yticklabels()]

    all_names = [f"word{i}" for i in range(30)]
    assert len(shown(all_names)) == 3
    assert shown(all_names) == shown(dict(enumerate(all_names)))
    assert all(name.isdigit() for name in shown({}))  # what has no name shows its index


def test_components_in_given_axes(fitted, plt):
    figure, axes = plt.subplots(2)
    display = ComponentsDisplay.from_estimator(fitted, ax=axes, color="k")
    assert display.figure_ is figure
    assert list(display.ax_) == list(axes)
    assert display.bars_[0][0].get_facecolor() == (0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="got 1 for 2 components"):
        display.plot(ax=axes[0])


def test_more_components_than_columns_leave_no_empty_panel(plt):
    display = ComponentsDisplay([[("a", 1.0)]] * 5).plot()
    assert len(display.ax_) == len(display.figure_.axes) == 5


def test_without_matplotlib_the_error_names_the_extra(fitted, monkeypatch):
    load = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"sklearn_sparse_eig\[plot\]"):
        ComponentsDisplay.from_estimator(fitted)


def test_scores_of_known_and_new(plt):
    rng = np.random.default_rng(0)
    known, new = rng.lognormal(2.0, size=300), rng.lognormal(0.0, size=100)
    scores = {"first": (known, new), "second": (-new[:50], -known[:80])}
    left, right = plot_ood_scores(scores, threshold=2.5)
    assert left.get_xscale() == "log"
    # Shares of each side, all of them within the bins.
    heights = np.array([patch.get_height() for patch in left.patches])
    np.testing.assert_allclose(heights.sum(), 2.0)
    dashed = left.lines[0].get_xdata()
    np.testing.assert_array_equal(dashed, [2.5, 2.5])
    share = (known[:, None] > new).mean()
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels[0] == f"first ({share:.3f})" and labels[1].startswith("second (")
    same = plot_ood_scores({"only": (-known, -new)}, ax=[left, right])
    assert same[0] is left
    with pytest.raises(ValueError, match="no scores"):
        plot_ood_scores({})
    with pytest.raises(TypeError, match="must be a pair"):
        plot_ood_scores({"only": known})
    with pytest.raises(ValueError, match="2 Axes, got 1"):
        plot_ood_scores(scores, ax=left)
