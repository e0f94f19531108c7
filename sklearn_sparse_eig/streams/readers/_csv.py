"""Tables as text, read by pandas."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._base import Reader, needed
from ._registry import register


@register
class CsvReader(Reader):
    """CSV and TSV files with a header, compressed or not; ``sep`` is the separator.

    ``drop`` leaves columns out.
    """

    name = "csv"
    suffixes = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.bz2", ".csv.xz", ".csv.zst")
    options = ("sep", "drop")

    def begin(self) -> None:
        columns = self.wanted.columns
        if isinstance(columns, Mapping):
            raise ValueError("columns of a CSV file must be a list of names.")
        found = list(self._frames(self.parts[0], 0, n_rows=0))[0].columns
        names = self.without_dropped(found if columns is None else columns, found)
        missing = [c for c in names if c not in found]
        if missing:
            raise ValueError(
                f"{self.parts[0]} has no column {missing[0]!r}; it has {', '.join(found[:8])}"
                f"{' and more' if len(found) > 8 else ''}."
            )
        self.feature_names = [str(name) for name in names]

    def rows_of(self, part: Any) -> None:
        return None

    def read(self, part: Any, start: int) -> Iterator[Any]:
        for frame in self._frames(part, start):
            frame = frame[self.feature_names]
            text = [c for c, dtype in frame.dtypes.items() if dtype.kind not in "biuf"]
            if text:
                raise ValueError(
                    f"Column {text[0]!r} of {part} is no number. Leave it out by drop= or "
                    "columns=, encode it first, or give text_column= if its values are documents."
                )
            yield frame.to_numpy(dtype=np.float64)

    def _frames(self, part, start, n_rows=None):
        pandas = needed("pandas", "CSV")
        sep = self.wanted.options.get("sep") or ("\t" if ".tsv" in str(part).lower() else ",")
        settings = {"sep": sep, "usecols": self.feature_names}
        if n_rows is not None:
            yield pandas.read_csv(part, nrows=n_rows, **settings)
            return
        skipped = range(1, start + 1) if start else None
        size = self.wanted.batch_size
        with pandas.read_csv(part, chunksize=size, skiprows=skipped, **settings) as frames:
            yield from frames
