"""Rows from Arrow columns, slices of batches included, and what is refused."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig.distributed._arrow_rows import RowColumns

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra spark")

N = 6
X = np.where(
    np.random.default_rng(0).random((9, N)) < 0.5, 0.0, np.arange(1.0, 9 * N + 1).reshape(9, N)
)


def batch_of_all_forms():
    sparse = sp.csr_array(X)
    ids = [row.indices.tolist() for row in sparse]
    values = [row.data.tolist() for row in sparse]
    vectors = [
        {"type": 1, "size": None, "indices": None, "values": X[i].tolist()}
        if i % 3 == 0
        else {"type": 0, "size": N, "indices": ids[i], "values": values[i]}
        for i in range(len(X))
    ]
    struct = pa.struct(
        [
            ("type", pa.int8()),
            ("size", pa.int32()),
            ("indices", pa.list_(pa.int32())),
            ("values", pa.list_(pa.float64())),
        ]
    )
    columns = {
        "array": pa.array(X.tolist()),
        "ids": pa.array(ids),
        "values": pa.array(values),
        "vector": pa.array(vectors, struct),
        "dense": pa.array([vectors[0] | {"values": row.tolist()} for row in X], struct),
        "n": pa.array(np.arange(9)),
    }
    columns |= {f"x{j}": pa.array(X[:, j]) for j in range(N)}
    return pa.RecordBatch.from_pydict(columns)


FORMS = {
    "array": ["array"],
    "vector": ["vector"],
    "dense vector": ["dense"],
    "entries": ["ids", "values"],
    "scalars": [f"x{j}" for j in range(N)],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [slice(None), slice(2, 7), slice(4, 4)], ids=str)
def test_rows_of_a_slice(form, part):
    if form == "scalars":
        pytest.importorskip("pandas")
    columns = RowColumns(FORMS[form], form.split()[-1], N, {"sample_weight": "n"})
    low, high, _ = part.indices(9)
    rows, given = columns.block_of(batch_of_all_forms().slice(low, high - low))
    if high > low:
        dense = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
        np.testing.assert_array_equal(dense, X[part])
    assert rows.shape[0] == high - low
    np.testing.assert_array_equal(given["sample_weight"], np.arange(9)[part])


@pytest.mark.parametrize(
    ("form", "columns", "message"),
    [
        ("array", {"a": [[1.0], None]}, "'a' is null in 1 of 2 rows"),
        ("array", {"a": [[1.0], [None]]}, "'a' hold null values"),
        ("array", {"a": [[1.0], [1.0, 2.0]]}, "'a' holds rows of 1 and of 2 features"),
        ("entries", {"i": [[1], [2, 3]], "v": [[1.0], [2.0]]}, "2 ids and 1 values in one row"),
    ],
)
def test_refused_columns(form, columns, message):
    batch = pa.RecordBatch.from_pydict(columns)
    with pytest.raises(ValueError, match=message):
        RowColumns(list(columns), form, N, {}).block_of(batch)
