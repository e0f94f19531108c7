"""Displays look as their stored pictures do, and pictures with a defect are told apart."""

import pytest
from write_images import IMAGES, PICTURES, save

from sklearn_sparse_eig.plotting._style import POSITIVE

# Root mean square over all pixels, of 255. Pictures of matplotlib 3.8.0 and 3.11.2 are the same to
# the last bit, and the faintest of the defects below makes 3.2. One shade of 255 in each
# hundredth pixel, as other processors may round, makes 0.1.
TOLERANCE = 1.0


@pytest.fixture(autouse=True)
def compare_images():
    return pytest.importorskip("matplotlib.testing.compare").compare_images


@pytest.mark.parametrize("name", PICTURES)
def test_displays_look_as_stored(name, compare_images, tmp_path):
    save(name, tmp_path / "now.png")
    difference = compare_images(IMAGES / f"{name}.png", tmp_path / "now.png", TOLERANCE)
    assert difference is None, (
        f"{difference}\nIf the change is meant, run python tests/plotting/write_images.py."
    )


def swap_colors(first, second):
    colors = first.get_color(), second.get_color()
    second.set_color(colors[0])
    first.set_color(colors[1])


DEFECTS = {
    "components": {
        "both signs look alike": lambda d: [b.set_color(POSITIVE) for b in d.bars_[0]],
        "the smallest bar is missing": lambda d: d.bars_[0][4].set_visible(False),
        "the smallest is on top": lambda d: d.ax_[1].invert_yaxis(),
        "zero has no line": lambda d: d.ax_[1].lines[0].remove(),
    },
    "support_map": {
        "signs are swapped": lambda d: d.image_.set_cmap(d.image_.get_cmap().reversed()),
        "a small loading is lost": lambda d: lose(d.image_, 1, 1),
        "rows are upside down": lambda d: d.ax_.invert_yaxis(),
        "components are not apart": lambda d: d.ax_.grid(False, which="both"),
    },
    "scree": {
        "the level is dotted": lambda d: d.level_line_.set_linestyle(":"),
        "noise is dashed": lambda d: d.noise_line_.set_linestyle("--"),
        "level and noise are swapped": lambda d: swap_colors(d.level_line_, d.noise_line_),
        "values have no points": lambda d: d.line_.set_marker(""),
        "the number in use is not marked": lambda d: d.ax_.lines[3].remove(),
    },
    "scores": {
        "the threshold is missing": lambda d: d.threshold_line_.remove(),
        "curves are swapped": lambda d: swap_colors(*d.lines_),
        "both curves are solid": lambda d: d.lines_[1].set_linestyle("-"),
        "bars have no outline": lambda d: d.ax_[0].lines[1].remove(),
        "one bar is missing": lambda d: d.ax_[0].patches[30].set_visible(False),
    },
    "effective_rank": {
        "an interval is not shaded": lambda d: d.spans_[0].remove(),
        "shades do not differ": lambda d: d.spans_[1].set_color(d.spans_[0].get_facecolor()),
        "where it stopped is missing": lambda d: d.ax_.lines[1].remove(),
        "time is linear": lambda d: d.ax_.set_xscale("linear"),
        "the curve is thin": lambda d: d.line_.set_linewidth(0.7),
    },
    "phase_diagram": {
        "it is upside down": lambda d: d.ax_.invert_yaxis(),
        "the line of one half is missing": lambda d: d.boundary_.remove(),
        "colours are others": lambda d: d.image_.set_cmap("viridis"),
        "the scale ends at less": lambda d: d.image_.set_clim(0.0, 0.9),
    },
}


def lose(image, row, column):
    values = image.get_array().copy()
    values[row, column] = 0.0
    image.set_data(values)


@pytest.mark.parametrize(
    "name, defect", [(name, defect) for name in DEFECTS for defect in DEFECTS[name]]
)
def test_defects_are_seen(name, defect, compare_images, tmp_path):
    save(name, tmp_path / "spoilt.png", DEFECTS[name][defect])
    difference = compare_images(
        IMAGES / f"{name}.png", tmp_path / "spoilt.png", TOLERANCE, in_decorator=True
    )
    assert difference is not None


def test_there_are_defects_of_each_picture():
    assert DEFECTS.keys() == PICTURES.keys()
    assert {path.stem for path in IMAGES.glob("*.png")} == set(PICTURES)
