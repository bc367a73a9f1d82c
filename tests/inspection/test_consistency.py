from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import RegressorMixin
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknode import NODEClassifier, NODERegressor
from sknode.estimators.regression import Regression
from sknode.estimators.solver import BaseNODE
from sknode.inspection import solver_consistency
from sknode.modules.losses import RegressionLoss
from sknode.training.target import Target
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 20, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def wild(model, factor=50.0):
    """Make the field of a fitted model change faster than a coarse solver can follow."""
    with torch.no_grad():
        model.net_.module_.block.field.layers[-1].weight.mul_(factor)
    return model


def test_a_model_is_consistent_with_itself():
    model = NODEClassifier(**{**QUICK, "tolerance": 1e-6}).fit(*IRIS)
    found = solver_consistency(model, *IRIS)
    assert found.score == found.tight_score == model.score(*IRIS)
    assert found.deviation < 1e-9
    assert found.nfe == found.tight_nfe


@pytest.mark.parametrize("n_members", [1, 2])
def test_scores_are_those_of_the_model_and_of_its_tight_copy(n_members):
    model = NODERegressor(**{**QUICK, "solver": "euler", "n_members": n_members})
    model = wild(model.fit(*DIABETES))
    found = solver_consistency(model, *DIABETES, tolerance=1e-8)
    tight = NODERegressor(**{**QUICK, "max_epochs": 1, "n_members": n_members}, tolerance=1e-8)
    tight.fit(*DIABETES).net_.module_.load_state_dict(model.net_.module_.state_dict())
    X, y = DIABETES
    assert found.nfe == 4
    assert found.tight_nfe > 20
    assert found.score == pytest.approx(model.score(X, y))
    assert found.tight_score == pytest.approx(tight.score(X, y))
    assert found.error == pytest.approx(np.sqrt(np.mean((model.predict(X) - y) ** 2)))
    assert found.tight_error == pytest.approx(np.sqrt(np.mean((tight.predict(X) - y) ** 2)))
    deviation = np.abs(model.predict(X) - tight.predict(X)).max() / y.std()
    assert found.deviation == pytest.approx(deviation)
    assert found.deviation > 0.01


def test_the_estimator_stays_as_it_is():
    model = NODEClassifier(**QUICK).fit(*IRIS)
    before, settings = model.predict_proba(IRIS[0]), model.net_.module_.block.settings
    solver_consistency(model, *IRIS)
    assert model.net_.module_.block.settings is settings
    np.testing.assert_array_equal(model.predict_proba(IRIS[0]), before)


def test_it_takes_pipelines_frames_and_labels():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(IRIS[0], columns=list("abcd"))
    model = make_pipeline(StandardScaler(), NODEClassifier(**QUICK)).fit(X, IRIS[1])
    assert solver_consistency(model, X, IRIS[1]).score == model.score(X, IRIS[1])
    labels = np.column_stack([IRIS[1] > 0, IRIS[1] == 1]).astype(int)
    several = NODEClassifier(**QUICK).fit(IRIS[0], labels)
    assert solver_consistency(several, IRIS[0], labels).score == several.score(IRIS[0], labels)


class OwnRegressor(Regression, BaseNODE):
    """A regressor of the bases beside `NODERegressor`."""

    lift_frequency: float = 0.5


class HalvedNumbers(Target):
    """Single numbers that are learned by halves."""

    n_outputs = 1
    criterion = partial(RegressionLoss, "squared_error", None)

    def encode(self, y):
        return y.reshape(len(y), 1) / 2

    def decode(self, outputs):
        return 2 * outputs[:, 0]

    def average(self, outputs, counts):
        return outputs.mean(axis=0)

    def score(self, outputs, *, y, sample_weight):
        return -np.square(self.decode(outputs) - y).mean()


class Halves(BaseNODE):
    """What learns one target by halves, and is neither a classifier nor a regressor."""

    lift_frequency: float = 0.5

    @property
    def _target(self):
        return HalvedNumbers()

    def _check_target(self, y):
        return np.asarray(y, dtype=np.float64)

    def _learn_target(self, table, classes):
        pass


class HalvesRegressor(RegressorMixin, Halves):
    """A regressor whose targets have nothing to do with `Regression`."""

    def predict(self, X):
        target = self._target
        return self._map_outputs(X, lambda of_all: target.decode(target.combine(of_all)))


def test_a_regressor_of_ones_own_is_measured_as_that_of_sknode():
    own = OwnRegressor(**QUICK).fit(*DIABETES)
    known = NODERegressor(**QUICK).fit(*DIABETES)
    assert solver_consistency(own, *DIABETES) == solver_consistency(known, *DIABETES)


def test_a_regressor_with_targets_of_its_own_is_measured_in_the_unit_it_learns_them_in():
    X, y = DIABETES[0], DIABETES[1] / 100
    model = wild(HalvesRegressor(**{**QUICK, "solver": "euler"}).fit(X, y), factor=10.0)
    found = solver_consistency(model, X, y, tolerance=1e-8)
    tight = HalvesRegressor(**{**QUICK, "max_epochs": 1}, tolerance=1e-8).fit(X, y)
    tight.net_.module_.load_state_dict(model.net_.module_.state_dict())
    assert found.tight_score == pytest.approx(tight.score(X, y))
    deviation = np.abs(model.predict(X) - tight.predict(X)).max() / 2
    assert found.deviation == pytest.approx(deviation)
    with pytest.raises(ValueError, match="y must be the targets of the rows X"):
        solver_consistency(model, X, np.column_stack([y, y]))


def test_an_estimator_whose_predictions_cannot_be_compared_is_refused():
    model = Halves(**QUICK).fit(*DIABETES)
    with pytest.raises(TypeError, match=r"takes a regressor, or a .*; Halves is neither"):
        solver_consistency(model, *DIABETES)


@pytest.mark.parametrize("other", [GaussianNB(), make_pipeline(GaussianNB())])
def test_other_estimators_are_refused(other):
    with pytest.raises(TypeError, match="got GaussianNB"):
        solver_consistency(other.fit(*IRIS), *IRIS)


def test_an_estimator_that_is_not_fitted_and_a_solver_that_is_not_known_are_refused():
    with pytest.raises(NotFittedError):
        solver_consistency(NODEClassifier(), *IRIS)
    with pytest.raises(ValueError, match="solver='rk5' is not known"):
        solver_consistency(NODEClassifier(**QUICK).fit(*IRIS), *IRIS, solver="rk5")
