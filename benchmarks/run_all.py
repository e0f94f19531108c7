"""Run all benchmarks and put their tables into README.md.

Each table stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` there, and is replaced as
soon as its script has finished. With ``--quick`` the tables are printed and the file is left
alone. Run it on a machine with nothing else to do: an hour or so on two cores,
and longer for mam_paper.

    SPARSE_EIG_DATA=... python benchmarks/run_all.py --only images words
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
README = HERE / "README.md"
SCRIPTS = {
    "images": "bench_images.py",
    "words": "bench_words.py",
    "optima": "bench_optima.py",
    "spikes": "bench_spikes.py",
    "phases": "bench_phases.py",
    "memory": "bench_memory.py",
    "exact": "bench_exact.py",
    "errors": "bench_errors.py",
    "huge": "bench_huge.py",
    "low_rank": "bench_low_rank.py",
    "rank": "bench_rank.py",
    "smooth": "bench_smooth.py",
    "diagonal_network": "bench_diagonal_network.py",
    "seeds": "bench_seeds.py",
    "ood": "bench_ood.py",
    "grad_cost": "bench_grad_cost.py",
    "grad_sketch": "bench_grad_sketch.py",
    "diagnostics": "bench_diagnostics.py",
    "mam_paper": "mam_paper.py",
    "kernels": "bench_sketch_throughput.py",
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


def replace_table(text, name, table):
    """Return the text with the table of that name replaced."""
    pattern = rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)"
    replaced, count = re.subn(
        pattern, lambda match: f"{match[1]}{table}\n{match[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"README.md has {count} places for the table {name!r}; one is needed.")
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
        if args.quick:
            print(table)
        else:
            text = replace_table(README.read_text(encoding="utf-8"), name, table)
            README.write_text(text, encoding="utf-8")
        print(f"== {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
