"""Every example runs from any directory and prints what it promises."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
# Examples that need an extra; without it they say so.
NEEDS = {"plot_ood_torch_cnn": "torch"}
PROMISES = {
    "plot_docstring_topics": [
        r"\d+ docstrings collected",
        r"sketched 100%, [\d,]+ rows/s",
        r"64 loadings recovered",
        r"(\n +\d\.\d\d%(  [a-z]+ [+-]\d\.\d\d){8}){8}\n",  # eight topics of eight words
        r"% of the variance in 64 loadings",
    ],
    "plot_streaming_merge": [
        r"shard 1: 3000 rows in 3\.5 MB",
        r"36 of 36 planted features found, 0 others among 100,000",
        r"planted components: (0\.99\d+|1\.0000), (0\.99\d+|1\.0000), (0\.99\d+|1\.0000)",
    ],
    "plot_feature_crosses": [
        r"\d+ sentences collected",
        r"crosses of 2 words: \d+ sentences, [\d,]+ nonzeros among [\d,]{9,} features",
        r"crosses of 3 words: \d+ sentences, [\d,]+ nonzeros among [\d,]{14,} features",
        r"the sketch [\d.]+ MB, whatever the number of sentences",
        # Eight directions of five crosses; how often the strongest is on held-out sentences.
        r"(\n +\d\.\d\d%(,? +[a-z]+ & [a-z]+ [+-]\d\.\d\d){5}\n +[a-z]+ & [a-z]+: .*){8}\n",
        r"(\n +\d\.\d\d%(,? +[a-z]+( & [a-z]+){2} [+-]\d\.\d\d){5}\n +[a-z]+ & .*: .*){8}\n",
        r"[1-9]\d* times, 0\.\d+ by chance",
        r"(0\.[5-9]|[1-9]\.\d)\d% of the variance of held-out sentences",
    ],
    "plot_mam_paper": [
        r"tiles +ours +before \de-0\d, after \de-1[4-6]",
        r"rows +ours +before \de-0\d, after \de-0[23]",
        r"entries +ours +before \de-0\d, after \de-1[4-6]",
        r"entries +recipe +before \de-0\d, after ",
    ],
    "plot_ood_digits": [
        r"accuracy on known digits: 0\.9\d\d",
        r"GradPCA, K-FAC metric: +AUROC 0\.9[4-9]\d\n",
        r"GradPCA, the paper's settings: +AUROC 0\.\d{3}\n",
        r"probability of the predicted class: +AUROC 0\.\d{3}\n",
        r"known digits rejected: \d\.\d% \(at most 5% asked\)\nnew digits rejected: [6-9]\d\.\d%",
    ],
    "plot_neural_collapse": [
        r"epoch  accuracy +NC1 +NC2 +NC3 +NC4  kernel  invariant +K-FAC  paper  probability\n",
        # Six rows of nine numbers; at the end the class means are nearly always nearest.
        r"(\n? +\d+ +0\.\d{3}( +\d\.\d{3}){9}\n?){6}",
        r" +300 +0\.9\d\d +0\.\d{3} +0\.\d{3} +\d\.\d{3} +0\.0\d\d",
    ],
    "plot_ood_torch_cnn": [
        r"accuracy on known digits: 0\.9\d\d",
        r"GradPCA, all layers: +AUROC 0\.9[4-9]\d\n",
        r"GradPCA, dense layers: +AUROC 0\.9[4-9]\d\n",
        r"probability of the predicted class: +AUROC 0\.\d{3}\n",
        r"known digits rejected: \d\.\d% \(at most 5% asked\)\nnew digits rejected: [6-9]\d\.\d%",
    ],
    "plot_low_rank_intervals": [
        r"noise 0\.48: raw error 0\.1\d+, rank 3 chosen, stopped (0\.0\d+), rank known \1,",
        r"noise 0\.95: raw error 0\.3\d+, rank 3 chosen, stopped 0\.0\d+, .*-> 2\.2\d ",
        r"noise 1\.90: raw error 0\.[67]\d+, rank 3 chosen, stopped 0\.1[78]\d, .*-> 2\.[23]\d ",
        r"init_scale 0\.1: an interval is certain up to noise 2\.\d",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_double_descent": [
        r"r = 0\.5: .* 0\.6493 \(at 22\), all 1024 weighted 0\.5276 \(18\.7% less\)",
        r"r = 1\.0: .* 0\.01767 \(at 64\), all 1024 weighted 0\.016 \(9\.4% less\)",
        r"r = 2\.0: .* 2\.295e-06 \(at 64\), all 1024 weighted 2\.276e-06 \(0\.8% less\)",
        r"weighted: formula and the mean of 2000 fits differ by at most 0\.\d%",
        r"weighted: 0\.033\d at \d\d frequencies, up to 0\.03[78]\d at \d\d, down to 0\.0300",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_l1_implicit": [
        r"solved by the limit of gradient flow: (6[5-9]|7[0-5]) of 100, by OMP: [1-4]\d of 100",
        r"(depth [234]: gap at most the bound at all \d scales\n){3}",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_grid_search": [
        r"( {1,2}\d+ components of +\d+ pixels: accuracy 0\.\d{3}\n){6}",
        r"best: \d+ components of \d+ pixels, \d+ of 64 pixels used",
    ],
}


def test_every_example_is_tested():
    assert sorted(PROMISES) == sorted(path.stem for path in EXAMPLES.glob("plot_*.py"))


@pytest.mark.parametrize("name", PROMISES)
def test_example(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    source = EXAMPLES / f"{name}.py"
    # The package may not be installed but lie beside the tests.
    path = os.pathsep.join(filter(None, [str(EXAMPLES.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", str(source)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for pattern in PROMISES[name]:
        assert re.search(pattern, done.stdout), f"{pattern!r} is not in\n{done.stdout}"

    plot = tmp_path / f"{name.removeprefix('plot_')}.png"
    if HAS_MATPLOTLIB:
        assert f"Plot saved as {plot.resolve()}" in done.stdout
        assert plot.read_bytes()[:4] == b"\x89PNG"
    else:
        assert "No plot" in done.stdout
        assert "matplotlib" in done.stdout
