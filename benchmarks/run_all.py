"""Run all benchmarks and put their tables into results/.

Each table stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` on the page of its topic,
``results/TOPIC.md`` for the scripts in ``TOPIC/``, and is replaced as soon as its script has
finished. With ``--quick`` the tables are printed and the pages are left alone. Run it on a machine
with nothing else to do: an hour or so on two cores, and longer for mam_paper.

    SPARSE_EIG_DATA=... python benchmarks/run_all.py --only images words
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = {
    "images": "sparse_pca/bench_images.py",
    "words": "sparse_pca/bench_words.py",
    "optima": "sparse_pca/bench_optima.py",
    "correlations": "sparse_pca/bench_correlations.py",
    "certificates": "sparse_pca/bench_certificates.py",
    "spikes": "sparse_pca/bench_spikes.py",
    "genes": "sparse_pca/bench_genes.py",
    "grid": "sparse_pca/bench_grid.py",
    "phases": "recovery/bench_phases.py",
    "memory": "huge/bench_memory.py",
    "soak": "huge/bench_soak.py",
    "exact": "recovery/bench_exact.py",
    "errors": "recovery/bench_errors.py",
    "huge": "huge/bench_huge.py",
    "low_rank": "learners/bench_low_rank.py",
    "rank": "recovery/bench_rank.py",
    "false_alarms": "recovery/bench_false_alarms.py",
    "smooth": "learners/bench_smooth.py",
    "diagonal_network": "learners/bench_diagonal_network.py",
    "seeds": "seeds/bench_seeds.py",
    "guidance": "seeds/bench_guidance.py",
    "ood": "gradpca/bench_ood.py",
    "grad_cost": "gradpca/bench_grad_cost.py",
    "layer_gradients": "gradpca/bench_layer_gradients.py",
    "grad_pretrained": "gradpca/bench_grad_pretrained.py",
    "grad_sketch": "gradpca/bench_grad_sketch.py",
    "pretrained": "pretrained/bench_pretrained.py",
    "diagnostics": "diagnostics/bench_diagnostics.py",
    "mam_paper": "recovery/mam_paper.py",
    "dask": "distributed/bench_dask.py",
    "spark": "distributed/bench_spark.py",
    "reader": "distributed/bench_reader.py",
    "kernels": "kernels/bench_sketch_throughput.py",
    "dense_updates": "kernels/bench_dense_updates.py",
    "updates": "kernels/bench_updates.py",
}
# The throughput of kernels is a table of plain text, and has sizes in place of --quick.
QUICK_KERNELS = "--rows 80 --columns 20000 --nonzeros 200000 --ids 200000 --repeats 1".split()


def run(name, quick, repeats):
    """Return the tables of one benchmark as Markdown; its progress goes to stderr."""
    options = ["--quick"] if quick else []
    if name == "kernels" and quick:
        options = QUICK_KERNELS
    elif repeats:
        options += ["--repeats", str(repeats)]
    script = HERE / SCRIPTS[name]
    done = subprocess.run(
        [sys.executable, script, *options], check=True, stdout=subprocess.PIPE, text=True
    )
    return f"```\n{done.stdout.strip()}\n```" if name == "kernels" else done.stdout.strip()


def page_of(name):
    """Return the page that holds the table of that name."""
    return HERE / "results" / f"{Path(SCRIPTS[name]).parent}.md"


def replace_table(text, name, table):
    """Return the text with the table of that name replaced."""
    pattern = rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)"
    replaced, count = re.subn(
        pattern, lambda match: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"The page has {count} places for the table {name!r}; one is needed.")
    return replaced


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; print, change no file")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--repeats", type=int, default=None, help="override each script's default")
    args = parser.parse_args()
    for name in args.only:
        print(f"== {name}", file=sys.stderr, flush=True)
        start = time.perf_counter()
        table = run(name, args.quick, args.repeats)
        if not table:
            print(f"== {name} has nothing to say here: its page stays", file=sys.stderr)
        elif args.quick:
            print(table)
        else:
            page = page_of(name)
            text = replace_table(page.read_text(encoding="utf-8"), name, table)
            page.write_text(text, encoding="utf-8")
        print(f"== {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
