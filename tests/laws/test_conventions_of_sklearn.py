"""Conventions of scikit-learn that its own checks leave out."""

import inspect

import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_global_output_transform_pandas,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
)
from test_common import CONFIGURATIONS

# One estimator of each class, the first.
ESTIMATORS = list({type(each): each for each in reversed(CONFIGURATIONS)}.values())


def _takes_weights(estimator, method):
    function = getattr(estimator, method, None)
    return function is not None and "sample_weight" in inspect.signature(function).parameters


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_weights_are_routed_where_they_are_taken(estimator):
    for method in ("fit", "partial_fit", "score"):
        request = f"set_{method}_request"
        if not _takes_weights(estimator, method):
            continue
        with config_context(enable_metadata_routing=True):
            asked = getattr(clone(estimator), request)(sample_weight=True).get_metadata_routing()
        assert getattr(asked, method).requests["sample_weight"] is True, method


def test_some_take_weights():
    takers = [type(each).__name__ for each in ESTIMATORS if _takes_weights(each, "fit")]
    assert {"SketchedSparsePCA", "DiagonalNetworkRegressor"} <= set(takers)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_array_api_is_not_promised(estimator):
    assert not estimator.__sklearn_tags__().array_api_support


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_callbacks_are_not_promised(estimator):
    # A method of this name is how scikit-learn 1.9 asks whether callbacks are supported.
    assert not hasattr(estimator, "set_callbacks")


# Checks of scikit-learn that `parametrize_with_checks` leaves out, which it makes of its own
# estimators alone.
OF_ALL = [check_dataframe_column_names_consistency, check_param_validation]
OF_TRANSFORMERS = [
    check_global_output_transform_pandas,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
]


@pytest.mark.parametrize("check", OF_ALL + OF_TRANSFORMERS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_scikit_learn_asks_of_its_own(estimator, check):
    if check in OF_TRANSFORMERS and not hasattr(estimator, "set_output"):
        return  # no transformer; a filter of rows is none
    check(type(estimator).__name__, estimator)
