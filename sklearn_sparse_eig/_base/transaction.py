"""All or nothing: an estimator whose fitting fails keeps what an earlier fit has set."""

from contextlib import contextmanager


@contextmanager
def unchanged_on_error(estimator):
    """Take back what a failing block has set, so that an earlier fit stays usable."""
    saved = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(saved)
        raise
