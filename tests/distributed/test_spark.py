"""DataFrames of Spark on a real session: rows in all forms count once, groups have sketches."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    EigenSketch,
    GradPCADetector,
    SketchedSparsePCA,
)
from sklearn_sparse_eig.distributed import fit_spark, merge_sketches, sketch_by_group

pytestmark = [
    pytest.mark.slow,  # sessions and their workers take long to start
    # What PySpark says of newer versions of pandas is no concern of ours.
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]

N_ROWS, N = 600, 30
PCA = SketchedSparsePCA(
    1, n_nonzero_coefs=3, sketch="two_sided", n_measurements=24, range_size=8, random_state=0
)
SIZES = {"n_measurements": 20, "range_size": 8}


def planted_rows():
    rng = np.random.default_rng(0)
    rows = 5 * rng.normal(size=(N_ROWS, 1)) * (np.arange(N) < 3) + rng.normal(size=(N_ROWS, N))
    return np.where(rng.random(rows.shape) < 0.7, 0.0, rows)


X = planted_rows()
WEIGHTS = np.random.default_rng(1).integers(0, 3, N_ROWS)


@pytest.fixture(scope="module")
def table(spark):
    """One table with the rows in all forms, a group with nulls, and weights."""
    linalg = pytest.importorskip("pyspark.ml.linalg")
    records = []
    for i, row in enumerate(X):
        ids = np.flatnonzero(row)
        dense, sparse = linalg.Vectors.dense(row), linalg.Vectors.sparse(N, ids, row[ids])
        mixed = dense if i % 3 else sparse
        lists = row.tolist(), ids.tolist(), row[ids].tolist()
        shop, day = None if i % 5 == 0 else f"shop {i % 5}", i % 2
        records.append(
            (*lists, dense, sparse, mixed, float(row[0]), float(row[1]), shop, day, int(WEIGHTS[i]))
        )
    names = "array ids values dense sparse mixed x.0 x1 shop day weight".split()
    return spark.createDataFrame(records, names).repartition(5).cache()


def assert_saw(sketch, expected):
    assert sketch.n_samples == expected.n_samples
    matrix = expected.matrix()
    np.testing.assert_allclose(sketch.matrix(), matrix, atol=1e-11 * abs(matrix).max())


@pytest.mark.parametrize("features", ["array", "dense", "sparse", "mixed", ["ids", "values"]])
def test_each_row_counts_once(table, features):
    n_features = N if isinstance(features, list) else None
    fitted = fit_spark(PCA, table, features=features, n_features=n_features)
    expected = SketchedSparsePCA(**PCA.get_params()).partial_fit(X)
    assert_saw(fitted.sketch_, expected.sketch_)
    assert fitted.n_features_in_ == N and not hasattr(PCA, "sketch_")
    np.testing.assert_array_equal(fitted.support_, expected.support_)


def test_columns_of_numbers_with_weights(table):
    columns = ["x.0", "x1"]
    model = fit_spark(DeepFactorizationCovariance(), table, features=columns, weight="weight")
    expected = DeepFactorizationCovariance().fit(X[:, :2], sample_weight=WEIGHTS)
    np.testing.assert_allclose(model.covariance_, expected.covariance_, rtol=1e-10)
    assert model.feature_names_in_.tolist() == columns


def test_detector_with_labels(table):
    y = np.arange(N_ROWS) % 2
    classifier = LogisticRegression().fit(X, y)
    detector = GradPCADetector(classifier, random_state=0)
    fitted = fit_spark(detector, table, features="array", label="day")
    expected = GradPCADetector(classifier, random_state=0).partial_fit(X, y)
    np.testing.assert_array_equal(fitted.class_counts_, expected.class_counts_)
    np.testing.assert_allclose(fitted.score_samples(X), expected.score_samples(X), rtol=1e-8)


def test_task_that_fails_once_counts_once(spark, tmp_path):
    folder, n_rows = str(tmp_path), 1000

    def make_rows(batches):
        import pyarrow as pa

        for batch in batches:
            ids = np.asarray(batch.column("id"))
            yield pa.RecordBatch.from_pydict({"x": [[float(i), float(i % 7)] for i in ids]})
            marker = Path(folder) / str(ids.min() == 0)
            if not marker.exists():  # once in the stage of the first partition, and in another
                marker.touch()
                raise OSError("the disk of this worker is gone")

    ids = spark.range(0, n_rows, numPartitions=4)
    df = ids.mapInArrow(make_rows, "x array<double>")
    fitted = fit_spark(SketchedSparsePCA(1, random_state=0), df, features="x")
    assert (tmp_path / "False").exists()
    rows = np.c_[np.arange(n_rows), np.arange(n_rows) % 7].astype(float)
    assert_saw(fitted.sketch_, SketchedSparsePCA(1, random_state=0).partial_fit(rows).sketch_)


def test_sketches_of_groups_and_their_sums(table):
    expected = {}
    for i, row in enumerate(sp.csr_array(X)):
        key = (None if i % 5 == 0 else f"shop {i % 5}", i % 2)
        sketch = expected.setdefault(key, EigenSketch(N, random_state=3, **SIZES))
        sketch.update(row.reshape(1, -1), sample_weight=float(WEIGHTS[i]))
    groups = sketch_by_group(
        table,
        ["shop", "day"],
        ["ids", "values"],
        weight="weight",
        n_features=N,
        random_state=3,
        **SIZES,
    ).cache()
    assert groups.columns == ["shop", "day", "sketch"]
    rows = groups.collect()
    assert {(row.shop, row.day) for row in rows} == set(expected) and len(rows) == len(expected)
    for row in rows:
        assert_saw(EigenSketch.from_bytes(row.sketch), expected[row.shop, row.day])
    shops = {row.shop: row.sketch for row in merge_sketches(groups, "shop").collect()}
    assert len(shops) == 5
    for shop, blob in shops.items():
        assert_saw(EigenSketch.from_bytes(blob), expected[shop, 0] + expected[shop, 1])
    (total,) = merge_sketches(groups).collect()
    assert_saw(EigenSketch.from_bytes(total.sketch), sum(expected.values()))


def test_refusals(spark, table):
    with pytest.raises(ValueError, match="pass n_features"):
        fit_spark(PCA, table, features=["ids", "values"])
    with pytest.raises(ValueError, match="no column 'y'"):
        fit_spark(PCA, table, features="y")
    with pytest.raises(TypeError, match="shop is string"):
        fit_spark(PCA, table, features="shop")
    with pytest.raises(ValueError, match="no column 'town' to group by"):
        sketch_by_group(table, "town", "array", n_measurements=8)
    with pytest.raises(ValueError, match="n_measurements"):
        sketch_by_group(table, "shop", ["ids", "values"], n_features=N, n_measurements=None)
    with pytest.raises(ValueError, match="the DataFrame is empty"):
        fit_spark(PCA, table.limit(0), features="array")
    with pytest.raises(Exception, match="'array' holds rows of 2 and of 3 features"):
        ragged = spark.createDataFrame([([1.0, 2.0],), ([1.0, 2.0, 3.0],)], ["array"])
        fit_spark(PCA, ragged.coalesce(1), features="array")
