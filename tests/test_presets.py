import pytest
from sklearn.linear_model import LogisticRegression

from sknode import NODEClassifier, NODERegressor, preset


@pytest.mark.parametrize("estimator", [NODEClassifier, NODERegressor])
@pytest.mark.parametrize("name", ["fast", "default", "accurate", "classical"])
def test_a_preset_is_made_of_hyperparameters(estimator, name):
    parameters = estimator(**preset(name)).get_params()
    assert parameters.items() >= preset(name).items()


def test_the_default_preset_is_what_the_estimators_have_by_themselves():
    assert NODEClassifier(**preset("default")).get_params() == NODEClassifier().get_params()
    assert NODERegressor(**preset("default")).get_params() == NODERegressor().get_params()


def test_a_preset_can_be_changed_without_harm():
    preset("fast")["n_members"] = 3
    assert preset("fast")["n_members"] == 1


@pytest.mark.parametrize("name", ["", None, 5, b"fast", [], ["fast"], float("nan"), True])
def test_what_is_no_name_of_a_preset_is_refused(name):
    with pytest.raises(ValueError, match=r"name=.* is not known; choose from"):
        preset(name)


@pytest.mark.parametrize(
    "estimator", [LogisticRegression, NODEClassifier(), "NODEClassifier", object, None, 5]
)
def test_only_classes_of_sknode_have_presets(estimator):
    with pytest.raises(TypeError, match="estimator must be a class of sknode, such as NODEClass"):
        preset("fast", estimator)


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'best' is not known; choose from \['fast', 'default'"):
        preset("best")
