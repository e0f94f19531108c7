"""Does a trained network have the structure that GradPCA rests on? See ``doc/diagnostics.md``."""

from ._alignment import NTKAlignment, ntk_alignment
from ._blocks import KernelBlocks, kernel_blocks
from ._collapse import NeuralCollapse, neural_collapse
from ._monitor import CollapseMonitor
from ._share import class_mean_share

__all__ = [
    "CollapseMonitor",
    "KernelBlocks",
    "NTKAlignment",
    "NeuralCollapse",
    "class_mean_share",
    "kernel_blocks",
    "neural_collapse",
    "ntk_alignment",
]
