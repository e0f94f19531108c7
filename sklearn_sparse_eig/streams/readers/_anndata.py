"""Cells by genes."""

from collections.abc import Iterator, Mapping
from typing import Any

import scipy.sparse as sp

from ._base import Reader, as_rows, needed, slices
from ._registry import register


@register
class AnnDataReader(Reader):
    """AnnData objects, in memory or backed, and ``.h5ad`` files; ``layer`` instead of ``X``."""

    name = "anndata"
    suffixes = (".h5ad",)
    options = ("layer",)

    @classmethod
    def takes(cls, source: Any) -> bool:
        return all(hasattr(source, name) for name in ("obs_names", "var_names", "layers", "X"))

    def begin(self) -> None:
        names = self._opened(self.parts[0]).var_names
        columns = self.wanted.columns
        if isinstance(columns, Mapping):
            raise ValueError("columns of an AnnData must be a list of names of genes.")
        self._columns = None
        if columns is not None:
            self._columns = [int(i) for i in names.get_indexer([str(c) for c in columns])]
            if -1 in self._columns:
                missing = columns[self._columns.index(-1)]
                raise ValueError(f"There is no gene {missing!r} among {len(names)} var_names.")
            names = names[self._columns]
        self.feature_names = [str(name) for name in names]

    def _opened(self, part):
        if self.takes(part):
            return part
        return needed("anndata", ".h5ad files").read_h5ad(part, backed="r")

    def rows_of(self, part: Any) -> int:
        return int(self._opened(part).n_obs)

    def row_names(self, part: Any) -> list[str] | None:
        return [str(name) for name in self._opened(part).obs_names]

    def read(self, part: Any, start: int) -> Iterator[Any]:
        data, layer = self._opened(part), self.wanted.options.get("layer")
        if layer is not None and layer not in data.layers:
            raise ValueError(f"There is no layer {layer!r}; there are {sorted(data.layers)}.")
        values = data.X if layer is None else data.layers[layer]
        if sp.issparse(values):
            values = sp.csr_array(values)
        for some in slices(data.n_obs, start, self.wanted.batch_size):
            yield as_rows(values[some], self._columns)
