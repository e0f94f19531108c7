"""A sketch for each group of rows of a table, in a column of bytes that later queries merge."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ..sketching import EigenSketch
from ._arrow_rows import RowColumns
from ._spark import check_spark, columns_of, quoted


def sketch_by_group(
    df: Any,
    group: str | Sequence[str],
    features: str | Sequence[str],
    *,
    weight: str | None = None,
    n_features: int | None = None,
    sketch: str = "sketch",
    random_state: int | np.random.RandomState | None = None,
    **options: Any,
) -> Any:
    """Return a DataFrame of Spark with the sketch of each group of rows, as bytes.

    Sketches are kept beside the table and merged by whatever later queries group by, as with
    Spark's own ``hll_sketch_agg`` and ``hll_union_agg``: :func:`merge_sketches` adds them, and
    ``EigenSketch.from_bytes`` reads one. The result is lazy.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
    group : str or list of str
        Columns whose values make a group.
    features : str or list of str
        Columns of the rows, in one of the forms that :func:`fit_spark` takes.
    weight : str, default=None
        Column of the weights of rows.
    n_features : int, default=None
        Number of features, needed for ids and values.
    sketch : str, default="sketch"
        Name of the column of sketches.
    random_state : int, RandomState or None, default=None
        Seed of the measurements, drawn once for all groups. Pass an int if sketches of several
        queries are to be merged.
    **options
        Parameters of :class:`EigenSketch`, such as ``n_measurements`` and ``range_size``.

    Returns
    -------
    pyspark.sql.DataFrame
        The columns of `group`, and one binary column.

    Raises
    ------
    ImportError, TypeError, ValueError
        As :func:`fit_spark`; on a worker also as :class:`EigenSketch` and its ``update``.

    Notes
    -----
    Rows are brought together by group and measured in their order, with one sketch in memory at a
    time, so the number of groups is not limited. A group larger than the others keeps one task
    busy for long. In that case group by one more column, such as
    ``(functions.rand() * 16).cast("int")``, and merge the result by the columns that are meant.

    Examples
    --------
    >>> daily = sketch_by_group(  # doctest: +SKIP
    ...     df, ["shop", "day"], ["ids", "values"], n_features=2**30,
    ...     n_measurements=1024, range_size=64, random_state=0,
    ... )
    >>> yearly = merge_sketches(daily, "shop")  # doctest: +SKIP
    >>> EigenSketch.from_bytes(yearly.first().sketch).recover(3)  # doctest: +SKIP
    """
    check_spark()
    keys = [group] if isinstance(group, str) else list(group)
    beside = {} if weight is None else {"sample_weight": weight}
    columns = columns_of(df, features, n_features, beside)
    _check_keys(df, keys, sketch)
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    if isinstance(random_state, int | np.integer):
        seed = int(random_state)
    if n_features is not None:
        EigenSketch(n_features, random_state=seed, **options)  # refused here, not on a worker
    names = dict.fromkeys([*keys, *columns.names, *beside.values()])
    rows = df.select(*quoted(names)).repartition(*quoted(keys))
    measure = partial(_measure, columns, {"random_state": seed} | options)
    return _by_group(rows, keys, sketch, measure)


def merge_sketches(df: Any, group: str | Sequence[str] = (), *, sketch: str = "sketch") -> Any:
    """Return a DataFrame of Spark with the sum of the sketches of each group, as bytes.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        With a column of sketches, such as :func:`sketch_by_group` returns. Nulls are skipped.
    group : str or list of str, default=()
        Columns whose values make a group; none for the sum of all sketches.
    sketch : str, default="sketch"
        Name of the column of sketches.

    Returns
    -------
    pyspark.sql.DataFrame
        The columns of `group`, and one binary column.

    Raises
    ------
    ImportError
        If pyspark or pyarrow is not installed.
    ValueError
        If columns are missing; on a worker, if sketches were made with other settings or seeds.

    Notes
    -----
    Sketches are added within each partition before they are brought together by group.
    """
    check_spark()
    keys = [group] if isinstance(group, str) else list(group)
    missing = [name for name in [*keys, sketch] if name not in df.columns]
    if missing:
        raise ValueError(
            f"The DataFrame has no column {', '.join(map(repr, missing))}. Its columns are "
            f"{', '.join(df.columns)}."
        )
    _check_keys(df, keys, sketch)
    merge = partial(_merge, sketch)
    rows = df.select(*quoted([*keys, sketch])).dropna(subset=quoted([sketch]))
    parts = _by_group(rows, keys, sketch, merge)
    parts = parts.repartition(*quoted(keys)) if keys else parts.repartition(1)
    return _by_group(parts, keys, sketch, merge)


def _check_keys(df: Any, keys: list[str], sketch: str) -> None:
    missing = [name for name in keys if name not in df.columns]
    if missing:
        raise ValueError(
            f"There is no column {', '.join(map(repr, missing))} to group by. The columns are "
            f"{', '.join(df.columns)}."
        )
    if sketch in keys:
        raise ValueError(f"The column of sketches needs a name of its own, got {sketch!r}.")


def _by_group(
    df: Any,
    keys: list[str],
    sketch: str,
    add: Callable[[EigenSketch | None, Any], EigenSketch],
) -> Any:
    """Return one sketch for each group of each partition, made by adding batches of its rows."""
    from pyspark.sql.types import BinaryType, StructField, StructType  # where a DataFrame is

    fields = [df.schema[key] for key in keys]
    schema = StructType([*fields, StructField(sketch, BinaryType())])
    ordered = df.sortWithinPartitions(*quoted(keys)) if keys else df
    return ordered.mapInArrow(partial(_sketch_runs, keys, sketch, add), schema)


# ------------------------------------------------------------------------------- on the workers


def _sketch_runs(
    keys: list[str],
    name: str,
    add: Callable[[EigenSketch | None, Any], EigenSketch],
    batches: Iterable[Any],
) -> Iterator[Any]:
    """Yield a batch of one row for each run of rows with equal keys."""
    last, sketch = None, None
    for run in _runs(keys, batches):
        key = run.select(keys).slice(0, 1)
        if sketch is not None and not _is_same(key, last):
            yield _row(last, name, sketch)
            sketch = None
        last, sketch = key, add(sketch, run)
    if sketch is not None:
        yield _row(last, name, sketch)


def _runs(keys: list[str], batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the parts of batches within which keys do not change."""
    for batch in batches:
        if not batch.num_rows:
            continue
        changes = np.zeros(batch.num_rows - 1, dtype=bool)
        for key in keys:
            encoded = batch.column(key).dictionary_encode(null_encoding="encode")
            codes = encoded.indices.to_numpy(zero_copy_only=False)
            changes |= codes[1:] != codes[:-1]
        ends = [0, *(np.flatnonzero(changes) + 1).tolist(), batch.num_rows]
        for low, high in zip(ends[:-1], ends[1:], strict=True):
            yield batch.slice(low, high - low)


def _is_same(key: Any, other: Any) -> bool:
    """Whether two keys are equal, null to null and NaN to NaN."""
    ours, theirs = key.to_pylist()[0].values(), other.to_pylist()[0].values()
    pairs = zip(ours, theirs, strict=True)
    return all(a == b or (a != a and b != b) for a, b in pairs)


def _row(key: Any, name: str, sketch: EigenSketch) -> Any:
    import pyarrow as pa  # Spark needs it for its batches

    columns = [*key.columns, pa.array([sketch.to_bytes()], pa.binary())]
    return pa.RecordBatch.from_arrays(columns, names=[*key.schema.names, name])


def _measure(
    columns: RowColumns, settings: dict[str, Any], sketch: EigenSketch | None, batch: Any
) -> EigenSketch:
    rows, given = columns.block_of(batch)
    if sketch is None:
        sketch = EigenSketch(rows.shape[1], **settings)
    return sketch.update(rows, **given)


def _merge(name: str, sketch: EigenSketch | None, batch: Any) -> EigenSketch:
    for blob in batch.column(name):
        theirs = EigenSketch.from_bytes(blob.as_py())
        sketch = theirs if sketch is None else sketch.merge(theirs)
    assert sketch is not None  # a run has a row
    return sketch
