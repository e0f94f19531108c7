"""Spark: one state for each partition, measured from Arrow batches, and added in a second stage."""

import gc
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, TypeVar

from ._arrow_rows import VECTOR_FIELDS, RowColumns
from ._shards import Block, Shards, add_states, begin, cloudpickle, fresh_copy
from ._trees import Mergeable, tree_merge

_Estimator = TypeVar("_Estimator", bound=Mergeable)

# Partitions in which the states of all others are added before the driver adds what is left.
_N_SUMS = 4
# Rows that show how many features there are.
_FEW = 2


def fit_spark(
    estimator: _Estimator,
    df: Any,
    *,
    features: str | Sequence[str],
    weight: str | None = None,
    label: str | None = None,
    n_features: int | None = None,
) -> _Estimator:
    """Fit an estimator to a DataFrame of Spark, as if ``partial_fit`` had seen its batches in turn.

    Each partition is read once in Arrow batches, and leaves one state of fixed size, which a second
    stage adds. Only the state of a task that has succeeded is taken, so rows count once, however
    often Spark runs a task.

    Parameters
    ----------
    estimator : estimator
        An estimator whose state is a sum over rows: :class:`SketchedSparsePCA`,
        :class:`GradPCADetector` or :class:`DeepFactorizationCovariance`. It is not changed.
    df : pyspark.sql.DataFrame
    features : str or list of str
        One column of arrays or of Spark ML vectors (dense, sparse or both); two columns of
        arrays, the ids and the values of the nonzero entries; or columns of numbers, whose names
        become those of the features.
    weight : str, default=None
        Column of non-negative counts of rows.
    label : str, default=None
        Column of labels, for :class:`GradPCADetector`.
    n_features : int, default=None
        Number of features, needed for ids and values.

    Returns
    -------
    estimator
        A fitted copy. If ``random_state`` was no int, it has one that was drawn once for all
        workers.

    Raises
    ------
    ImportError
        If pyspark or pyarrow is not installed.
    TypeError
        If the columns have other types, or if the state of the estimator is not a sum over rows.
    ValueError
        If there are no rows, or if n_features is missing.
    pyspark.errors.PythonException
        If rows are refused on a worker; its message ends with that of ``partial_fit``.

    See Also
    --------
    sketch_by_group : A sketch for each group of rows.

    Notes
    -----
    The package has to be installed on the workers. A worker holds an Arrow batch and two states;
    ``memory_budget`` bounds the size of a state. The first rows are read once more at the start,
    for what all workers share: the names of the features, and for :class:`GradPCADetector`, of
    which it is the first batch, the metric of compressed subspaces and a classifier that is not
    fitted yet.
    ``spark.sql.execution.arrow.maxRecordsPerBatch`` is the number of rows in a batch. Spark gives
    each task ``spark.task.cpus`` threads.

    Examples
    --------
    >>> df = spark.read.parquet("documents")  # doctest: +SKIP
    >>> pca = SketchedSparsePCA(10, random_state=0)  # doctest: +SKIP
    >>> fit_spark(pca, df, features=["ids", "counts"], n_features=2**20)  # doctest: +SKIP
    """
    check_spark()
    beside = {"sample_weight": weight, "y": label}
    columns = columns_of(df, features, n_features, {k: v for k, v in beside.items() if v})
    # By number: mapInArrow itself takes a dot in a name for that of a field.
    rows = df.select(*quoted(columns.all_names)).toDF(*map(str, range(len(columns.all_names))))
    shards = _begun(columns, fresh_copy(estimator), rows)
    schema = "part long, state binary"
    states = rows.mapInArrow(partial(_sketch_partition, columns, shards), schema)
    # By the number of the partition, so that the same partitions give the same bits.
    grouped = states.repartition(_N_SUMS, "part").sortWithinPartitions("part")
    sums = grouped.mapInArrow(_add_partition, schema).collect()
    ordered = sorted(sums, key=lambda row: row.part)
    return shards.fitted(tree_merge((pickle.loads(row.state) for row in ordered), add_states))


def _begun(columns: RowColumns, estimator: Any, rows: Any) -> Shards:
    """Return shards that the first rows have begun."""
    begin_here = partial(_begin, columns, estimator)
    if estimator._begins_with_few_rows:
        # Apart: a worker whose rows are not read to the end is thrown away, with all that it has
        # imported, which takes seconds to do again.
        few = rows.take(_FEW)
        if few:
            apart = rows.sparkSession.createDataFrame(few, rows.schema, verifySchema=False)
            few = apart.coalesce(1).mapInArrow(begin_here, "shards binary").collect()
    else:  # of as many partitions as it takes to find a row
        few = rows.mapInArrow(begin_here, "shards binary").take(1)
    if not few:
        raise ValueError("There are no rows: the DataFrame is empty.")
    return pickle.loads(few[0].shards)


# ------------------------------------------------------------------------------- on the workers


def _begin(columns: RowColumns, estimator: Any, batches: Iterable[Any]) -> Iterator[Any]:
    blocks: Iterable[Block] = map(columns.block_of_numbered, batches)
    if estimator._begins_with_few_rows:  # read to the end, and without weights: all may be zero
        blocks = [Block(block.rows, {}) for block in blocks]
    shards = begin(estimator, blocks)
    if shards is not None:
        yield _batch(shards=cloudpickle.dumps(shards))


def _sketch_partition(columns: RowColumns, shards: Shards, batches: Iterable[Any]) -> Iterator[Any]:
    from pyspark import TaskContext  # on a worker, which runs in Spark

    state = shards.state_of(map(columns.block_of_numbered, batches))
    if state is not None:
        context: Any = TaskContext.get()
        yield _batch(part=context.partitionId(), state=cloudpickle.dumps(state))
    _spare_collections()


@cache
def _spare_collections() -> None:
    """Hide what this worker has imported from the garbage collector, once in its life.

    Spark collects garbage after each task. To go through compiled kernels and libraries takes a
    tenth of a second each time, which is longer than many a partition is measured.
    """
    gc.collect()
    gc.freeze()


def _add_partition(batches: Iterable[Any]) -> Iterator[Any]:
    """Add the states of all rows, one at a time, in their order."""
    first, total = None, None
    for batch in batches:
        for part, state in zip(batch.column("part"), batch.column("state"), strict=True):
            first = part.as_py() if first is None else first
            theirs = pickle.loads(state.as_buffer())
            total = theirs if total is None else total.merge(theirs)
    if total is not None:
        yield _batch(part=first, state=cloudpickle.dumps(total))


def _batch(**values: Any) -> Any:
    import pyarrow as pa  # Spark needs it for its batches

    return pa.RecordBatch.from_pydict({name: [value] for name, value in values.items()})


# -------------------------------------------------------------------------------- on the driver


def check_spark() -> None:
    """Raise ImportError, with how to install them, unless pyspark and pyarrow are here."""
    try:
        for name in ("pyarrow", "pyspark"):
            import_module(name)
    except ImportError as error:
        raise ImportError(
            "This needs pyspark and pyarrow: pip install 'sklearn_sparse_eig[spark]'."
        ) from error


def quoted(names: Iterable[str]) -> list[str]:
    """Return names of columns as Spark takes them literally, dots included."""
    return ["`" + name.replace("`", "``") + "`" for name in names]


def columns_of(
    df: Any, features: str | Sequence[str], n_features: int | None, beside: dict[str, str]
) -> RowColumns:
    """Return the form in which columns of a DataFrame hold rows.

    Raises
    ------
    TypeError, ValueError
        If there are no such columns, or if they hold no numbers.
    """
    names = [features] if isinstance(features, str) else list(features)
    missing = [name for name in [*names, *beside.values()] if name not in df.columns]
    if missing or not names:
        raise ValueError(
            f"The DataFrame has no column {', '.join(map(repr, missing)) or 'to take rows from'}. "
            f"Its columns are {', '.join(df.columns)}."
        )
    types = [df.schema[name].dataType for name in names]
    form = next((form for form, fits in _FORMS.items() if fits(types)), None)
    if form is None:
        given = ", ".join(f"{n} is {t.simpleString()}" for n, t in zip(names, types, strict=True))
        raise TypeError(
            f"These columns do not hold rows: {given}. Give one column of arrays of numbers or of "
            "ML vectors, two columns of arrays (ids and values), or columns of numbers."
        )
    if form == "entries" and n_features is None:
        raise ValueError(
            f"Ids do not tell how many features there are: pass n_features, such as 2**20 for "
            f"hashed words, beside features={names}."
        )
    return RowColumns(names, form, n_features, beside)


def _is_number(type_: Any) -> bool:
    from pyspark.sql.types import BooleanType, NumericType  # where a DataFrame is, Spark is

    return isinstance(type_, NumericType | BooleanType)


def _is_array(type_: Any) -> bool:
    element = getattr(type_, "elementType", None)
    return element is not None and _is_number(element)


def _is_integral_array(type_: Any) -> bool:
    from pyspark.sql.types import IntegralType  # where a DataFrame is, Spark is

    return isinstance(getattr(type_, "elementType", None), IntegralType)


def _is_vector(type_: Any) -> bool:
    struct = type_.sqlType() if hasattr(type_, "sqlType") else type_
    return getattr(struct, "names", None) == VECTOR_FIELDS


_FORMS: dict[Any, Callable[[list[Any]], bool]] = {
    "array": lambda types: len(types) == 1 and _is_array(types[0]),
    "vector": lambda types: len(types) == 1 and _is_vector(types[0]),
    "entries": lambda types: (
        len(types) == 2 and all(map(_is_array, types)) and _is_integral_array(types[0])
    ),
    "scalars": lambda types: all(map(_is_number, types)),
}
