"""Annotated fields as hyperparameters."""

import inspect

import pytest
from sklearn.base import clone

from sknode import NODEClassifier, NODEImageClassifier, ResNetImageClassifier, estimators
from sknode.estimators.parameters import PARAMETERS
from sknode.estimators.solver import BaseNODE
from sknode.estimators.tabular import BaseRowNetwork

CLASSES = [getattr(estimators, name) for name in estimators.__all__]


@pytest.mark.parametrize("cls", CLASSES)
def test_the_signature_has_the_fields_by_name_in_the_order_of_the_table(cls):
    shown = inspect.signature(cls).parameters
    assert list(shown) == [name for name in PARAMETERS if name in shown]
    assert {parameter.kind for parameter in shown.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert cls().get_params() == {name: shown[name].default for name in sorted(shown)}


@pytest.mark.parametrize("cls", CLASSES)
def test_what_is_given_is_kept_as_it_is(cls):
    sizes = [3, 4]
    given = {"callbacks": sizes, "max_epochs": "not checked yet"}
    made = cls(**given)
    assert made.callbacks is sizes
    assert clone(made).max_epochs == given["max_epochs"]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_unknown_name_is_refused_as_python_does(cls):
    with pytest.raises(
        TypeError, match=rf"{cls.__name__}\.__init__\(\) got an unexpected keyword argument 'solvr'"
    ):
        cls(solvr="rk4")
    with pytest.raises(TypeError, match=rf"{cls.__name__}\.__init__\(\) takes 1 positional argu"):
        cls((8,))


@pytest.mark.parametrize("cls", CLASSES)
def test_what_a_fit_sets_is_not_there_before(cls):
    made = cls()
    names = [name for base in cls.__mro__ for name in inspect.get_annotations(base)]
    fitted = [name for name in names if name.endswith("_")]
    assert {"net_", "history_", "scaling_"} <= set(fitted)
    assert not any(hasattr(made, name) for name in fitted)


def test_a_default_of_one_base_is_not_lost_to_another():
    for cls in (NODEImageClassifier, ResNetImageClassifier):
        assert cls().max_epochs == 30
        assert cls().augment_dim == 5


def test_a_subclass_may_change_a_default_or_have_a_constructor_of_its_own():
    class Patient(NODEClassifier):
        max_epochs = 1000

    class Stubborn(NODEClassifier):
        def __init__(self, n_epochs=3):
            super().__init__(max_epochs=n_epochs)
            self.n_epochs = n_epochs

    class MoreStubborn(Stubborn):
        pass

    assert Patient().max_epochs == 1000
    assert repr(Patient(lift="linear")) == "Patient(lift='linear')"
    for cls in (Stubborn, MoreStubborn):
        assert list(inspect.signature(cls).parameters) == ["n_epochs"]
        assert cls(5).max_epochs == 5
        assert clone(cls(5)).n_epochs == 5


def test_bases_have_the_fields_that_all_who_share_them_have():
    assert "lift_frequency" not in inspect.signature(BaseNODE).parameters
    assert set(inspect.signature(BaseRowNetwork).parameters) < set(
        inspect.signature(NODEClassifier).parameters
    )
