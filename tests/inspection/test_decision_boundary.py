"""scikit-learn's own display of a plane, over every estimator."""

import numpy as np
import pytest
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknode import estimators

pytest.importorskip("matplotlib")

X, CODES = make_moons(80, noise=0.1, random_state=0)
NAMES = np.array(["upper", "lower"])[CODES]
QUICK = {"max_epochs": 3, "random_state": 0}
KINDS = [getattr(estimators, name) for name in estimators.__all__]


@pytest.mark.parametrize("kind", KINDS)
def test_the_boundary_display_draws_what_is_predicted(kind):
    y = CODES.astype(float) if "Regressor" in kind.__name__ else CODES
    model = make_pipeline(StandardScaler(), kind(**QUICK)).fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(
        model, X, response_method="predict", grid_resolution=10
    )
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    np.testing.assert_allclose(display.response.ravel(), model.predict(grid), rtol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "Classifier" in kind.__name__])
def test_the_boundary_display_draws_probabilities_of_named_classes(kind):
    model = kind(**QUICK).fit(X, NAMES)
    display = DecisionBoundaryDisplay.from_estimator(
        model, X, response_method="predict_proba", class_of_interest="upper", grid_resolution=10
    )
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    upper = model.predict_proba(grid)[:, list(model.classes_).index("upper")]
    np.testing.assert_allclose(display.response.ravel(), upper, rtol=1e-6)
