"""Fit in many places, merge into one: what is kept is linear, so shards simply add.

:func:`fit_dask` takes what users of dask hold, :func:`fit_spark` a DataFrame of Spark, and
:func:`fit_partitions` files, generators and arrays on joblib, futures or any other ``map``.
:func:`sketch_by_group` and :func:`merge_sketches` keep one sketch for each group of a table. Other
engines need no code of ours: have them make one sketch or estimator of each partition, and add the
results by :func:`tree_merge`, which also builds lazy graphs. ``doc/distributed.md`` shows how.

Dask and Spark are imported when they are used.
"""

from ._dask import fit_dask, transform_dask
from ._partitions import fit_partitions
from ._spark import fit_spark
from ._spark_groups import merge_sketches, sketch_by_group
from ._trees import merge_copies, tree_merge

__all__ = [
    "fit_dask",
    "fit_partitions",
    "fit_spark",
    "merge_copies",
    "merge_sketches",
    "sketch_by_group",
    "transform_dask",
    "tree_merge",
]
