"""Sparse rows as text, with labels: ``label index:value ...``."""

import io
from collections.abc import Iterator
from itertools import islice
from typing import Any

from sklearn.datasets import load_svmlight_file

from ._base import Reader, as_rows
from ._registry import register


@register
class SvmlightReader(Reader):
    """Svmlight files, indices from 1 on unless ``zero_based=True``.

    ``n_features`` is the number of columns; without it the files are read once more before. With
    ``labels=True`` batches are ``(X, y)``.
    """

    name = "svmlight"
    suffixes = (".svmlight", ".svm", ".libsvm")
    options = ("n_features", "zero_based", "labels")

    def begin(self) -> None:
        self._n_features = self.wanted.options.get("n_features")
        if self._n_features is None:
            parsed = (X for part in self.parts for X, _ in self._parsed(part, 0, None))
            self._n_features = max((X.shape[1] for X in parsed), default=1)

    def rows_of(self, part: Any) -> None:
        return None

    def read(self, part: Any, start: int) -> Iterator[Any]:
        columns, labels = self.names_of_indices(), self.wanted.options.get("labels", False)
        for X, y in self._parsed(part, start, self._n_features):
            yield (as_rows(X, columns), y) if labels else as_rows(X, columns)

    def _parsed(self, part, start, n_features):
        zero_based = self.wanted.options.get("zero_based", False)
        with open(part, "rb") as file:
            lines = (line for line in file if line.partition(b"#")[0].strip())
            for _ in islice(lines, start):
                pass
            while some := list(islice(lines, self.wanted.batch_size)):
                text = io.BytesIO(b"".join(some))
                yield load_svmlight_file(text, n_features=n_features, zero_based=zero_based)
