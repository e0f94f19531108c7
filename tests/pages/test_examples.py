"""Every example runs from any directory and prints what it promises."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
# Examples that need an extra; without it they say so.
NEEDS = {
    "plot_ood_torch_cnn": "torch",
    "plot_edge_of_stability": "torch",
    "plot_ood_sentences": "sentence_transformers",
    "plot_anndata_programmes": "anndata",
    "plot_dask_blocks": "dask.array",
    "plot_spark_days": "pyspark",
}
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
    "plot_checkpoint_resume": [
        r"killed three times, with [\d,]+, [\d,]+ and [\d,]+ of 30,000 rows kept",
        r"rows in the result: 30,000, each once\nthe bits of the undisturbed run: True\n",
        r"the planted features: True",
    ],
    "plot_dask_blocks": [
        r"( *\d+ blocks: 20,000 rows, difference \de-1[56]\n){5}",
        r"one half of the rows and the other: difference 0\.\d\d\n",
        r"same features in all: True\nthe planted ones: True\n",
        r"coordinates: \(20000, 3\), lazy, in 200 blocks",
    ],
    "plot_spark_days": [
        r"12 sketches of \d+ kB for 24,000 rows",
        r"days 0 to 5: 12,000 rows, features \[0, 1, 2, 3, 4\]\n",
        r"days 6 to 11: 12,000 rows, features \[30, 31, 32, 33, 34\]\n",
    ],
    "plot_anndata_programmes": [
        r"from the file as in memory: True",
        r"20 genes each: (\d+ \+ \d+ \+ 20 \+ 0(; )?|0 \+ 20 \+ 0 \+ 0(; )?){4}\n",
        # All of a programme and no other, and one broad component.
        r'"auto": (?=.*0 \+ 0 \+ 60 \+ 0)(?=.*0 \+ 20 \+ 0 \+ 0)(?=.*8 \+ 0 \+ 0 \+ 0).* \+ \d{3}',
        r"the broad one follows the depth of a cell: 0\.[89]\d",
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
    "plot_ood_torch_cnn": [
        r"accuracy on known digits: 0\.9\d\d",
        r"GradPCA, all layers: +AUROC 0\.9[4-9]\d\n",
        r"GradPCA, dense layers: +AUROC 0\.9[4-9]\d\n",
        r"probability of the predicted class: +AUROC 0\.\d{3}\n",
        r"known digits rejected: \d\.\d% \(at most 5% asked\)\nnew digits rejected: [6-9]\d\.\d%",
    ],
    "plot_ood_sentences": [
        r"(9\d|100)% of new ways to ask get the right intent",
        r"GradPCADetector +AUROC 0\.9[89]\d\n",
        r"largest probability +AUROC (0\.9[89]\d|1\.000)\n",
        r"[6-9]\d% of queries about other things are noticed\n(9\d|100)% of known intents pass",
    ],
    "plot_neural_collapse": [
        r"epoch  accuracy +NC1 +NC2 +NC3 +NC4  kernel  invariant +K-FAC  paper  probability\n",
        # Six rows of nine numbers; at the end the class means are nearly always nearest.
        r"(\n? +\d+ +0\.\d{3}( +\d\.\d{3}){9}\n?){6}",
        r" +300 +0\.9\d\d +0\.\d{3} +0\.\d{3} +\d\.\d{3} +0\.0\d\d",
    ],
    "plot_ood_threshold": [
        r"from training rows: +(9|1\d)\.\d% of known digits rejected \(.*\), (8|9)\d% of new ones",
        r"from held out rows: +[45]\.\d% of known digits rejected \(.*\), [678]\d% of new ones",
        r"standard deviation for one draw: 1\.6% expected, [12]\.\d% found",
        r"(p-value at most 0\.\d+: +\d+\.\d% of known digits, +\d+\.\d% of new ones\n){3}",
    ],
    "plot_ood_pipeline_grid_search": [
        # The AUROC of the chosen setting on new digits, with its rank correlation.
        r"network trained again:\n +chosen: .*, 0\.9\d\d on new .*\n.* settings: \+0\.\d\d\n",
        r"network frozen:\n +chosen: .*, 0\.9\d\d on new .*\n.* settings: \+0\.\d\d\n",
        r"left out, network frozen:\n +chosen: .*\n.* settings: (-0\.\d\d|\+0\.[0-3]\d)\n",
    ],
    "plot_ood_stream_monitor": [
        r"450 digits seen in 9 batches, calibrated by 300 others; classes of \d+ to \d+\n",
        r"before: \d\.\d% of the digits below 0\.05, 5% promised\n",
        r"false alarms: 0 of 12 batches",
        r"drift begins at batch 12, alarm at batch 1[2-9], when \d+% are new",
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
    "plot_seed_confidence": [
        r"confidence 0\.20 to 0\.59: separability 1\.[6-9]\d \(labels permuted [+-]0\.[01]\d\)",
        r"confidence 0\.98 to 1\.00: separability [78]\.\d\d \(labels permuted [+-]0\.[01]\d\), "
        r"accuracy of a probe (0\.9[89]|1\.00) .*, trained on the first bin 0\.(8[5-9]|9\d),",
        r"accuracy after a share of the steps: (0\.9\d\d(, )?){6}\n",
        r"\n1 candidates: [45]\d\.\d generator calls",
        r"\n40 candidates: 1\.\d generator calls",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_l1_implicit": [
        r"solved by the limit of gradient flow: (6[5-9]|7[0-5]) of 100, by OMP: [1-4]\d of 100",
        r"(depth [234]: gap at most the bound at all \d scales\n){3}",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_sparse_phase_transition": [
        r"gradient flow, L = 4: 15\d solved; most nonzeros, by equations: 2, 4, 9, 12, 20, 25",
        r"basis pursuit: 15\d solved; most nonzeros, by equations: 2, 4, 9, 12, 20, 25",
        r"OMP, sparsity known: 1[01]\d solved",
        r"largest difference from basis pursuit where that is right: 0\.00\d",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_weight_normalisation": [
        r"plain    : initialisation 0\.17 acts as 2e-01, error 1\.[78]\d+; at 1\.00: 2\.9",
        r"ratio 0\.1: initialisation 0\.17 acts as 2e-12, error 0\.000; at 1\.00: 2\.9",
        r"trained, ratio 1: at most \de-(09|1\d) from the limit",
        r"from 1\.00, where the norm does not grow, normalisation changes the error by [01]%",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_sharpness": [
        r"below: sharpness varies by [1-4]\.\d%; above: 2 / step to [01]\.\d%",
        r"\nstep 2\.50 critical: .* diverged\n",
        r"least error on new data at 0\.1 times the critical step",
        r"\nreproduced: .*\nnot reproduced: ",
    ],
    "plot_edge_of_stability": [
        r"(\nstep \d\.\d\d: loss 0\.0(10|09)\d after \d+ steps, .*){5}",
        r"beyond the critical step: sharpness (0\.9\d|1\.\d\d) to 1\.[0-2]\d times 2 / step",
        r"that ends, over that of the flow: 1\.[1-3]\d\n",
        r"\nreproduced: .*\nnot reproduced: .*\nnot reproduced: ",
    ],
    "plot_grid_search": [
        r"( {1,2}\d+ components of +\d+ pixels: accuracy 0\.\d{3}\n){6}",
        r"best: \d+ components of \d+ pixels, \d+ of 64 pixels used",
    ],
}


@pytest.mark.parametrize("name", PROMISES)
def test_what_an_example_imports_exists(name):
    for node in ast.walk(ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn_sparse_eig"):
            module = importlib.import_module(node.module)
            assert [a.name for a in node.names if not hasattr(module, a.name)] == []


def test_every_example_is_tested():
    assert sorted(PROMISES) == sorted(path.stem for path in EXAMPLES.glob("plot_*.py"))


@pytest.mark.parametrize("name", PROMISES)
def test_every_example_concludes(name):
    source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    says = re.search(r"\n# %%\n# \*\*Conclusion\.\*\* .*\n(# .*\n)*$", source)
    assert says or "reproduced: " in source


# What PySpark says of newer versions of pandas is no concern of ours.
OF_PYSPARK = "ignore:PySpark does not yet fully support pandas:FutureWarning"
# One that takes a few seconds shows by default that examples run; .ci/run runs them all.
QUICK = {"plot_grid_search"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in PROMISES]
)
def test_example(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name == "plot_spark_days" and not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("Spark needs Java, which is not here")
    source = EXAMPLES / f"{name}.py"
    # The package may not be installed but lie beside the tests.
    path = os.pathsep.join(filter(None, [str(EXAMPLES.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-W", OF_PYSPARK, str(source)],
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
