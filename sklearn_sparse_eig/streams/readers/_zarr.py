"""Arrays in Zarr stores."""

from collections.abc import Iterator
from typing import Any

from ._base import Reader, as_rows, needed, slices
from ._registry import register


@register
class ZarrReader(Reader):
    """Zarr arrays of two dimensions; ``dataset`` is the path of one within a group."""

    name = "zarr"
    suffixes = (".zarr",)
    options = ("dataset",)

    def _matrix(self, part):
        opened = needed("zarr", "Zarr").open(str(part), mode="r")
        dataset = self.wanted.options.get("dataset")
        matrix = opened if dataset is None else opened[dataset]
        if getattr(matrix, "ndim", None) != 2:
            raise ValueError(f"{part} is no matrix: name one in it by dataset=.")
        return matrix

    def rows_of(self, part: Any) -> int:
        return int(self._matrix(part).shape[0])

    def read(self, part: Any, start: int) -> Iterator[Any]:
        columns, matrix = self.names_of_indices(), self._matrix(part)
        for some in slices(matrix.shape[0], start, self.wanted.batch_size):
            yield as_rows(matrix[some], columns)
