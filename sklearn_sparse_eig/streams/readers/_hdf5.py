"""Arrays in HDF5 files."""

from collections.abc import Iterator
from typing import Any

from ._base import Reader, as_rows, needed, slices
from ._registry import register


@register
class Hdf5Reader(Reader):
    """A matrix in each HDF5 file: ``dataset`` names it where there are several."""

    name = "hdf5"
    suffixes = (".h5", ".hdf5")
    options = ("dataset",)

    def _matrix(self, file, part):
        h5py = needed("h5py", "HDF5")
        name = self.wanted.options.get("dataset")
        found: list[str] = []

        def visit(key, item):
            if isinstance(item, h5py.Dataset) and item.ndim == 2:
                found.append(key)

        file.visititems(visit)
        name = found[0] if name is None and len(found) == 1 else name
        if name not in found:
            raise ValueError(
                f"{part} has the matrices {', '.join(found) or 'none'}: choose one by dataset=."
            )
        return file[name]

    def rows_of(self, part: Any) -> int:
        with needed("h5py", "HDF5").File(part, "r") as file:
            return int(self._matrix(file, part).shape[0])

    def read(self, part: Any, start: int) -> Iterator[Any]:
        columns = self.names_of_indices()
        with needed("h5py", "HDF5").File(part, "r") as file:
            matrix = self._matrix(file, part)
            for some in slices(matrix.shape[0], start, self.wanted.batch_size):
                yield as_rows(matrix[some], columns)
