"""A Spark session for all tests of this folder, for it takes long to start."""

import os
import shutil
import sys

import pytest


@pytest.fixture(scope="session")
def spark():
    """A session of two threads on this machine alone."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: the extra spark")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra spark")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("Spark needs Java, which is not here")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "70",
    }
    # Two threads; a task that fails is run up to three times, where the default here is once.
    builder = sql.SparkSession.builder.master("local[2,3]").appName("sklearn_sparse_eig tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
