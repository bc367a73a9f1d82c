import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, ParameterGrid, ParameterSampler

from sknode import (
    NODEClassifier,
    NODERegressor,
    ResNetClassifier,
    ResNetRegressor,
    make_table_pipeline,
    preset,
)
from sknode.estimators.parameters import check_params
from sknode.search_spaces import DISTRIBUTIONS, GRID

KINDS = [NODEClassifier, NODERegressor, ResNetClassifier, ResNetRegressor]
CANDIDATES = [*ParameterGrid(GRID), *ParameterSampler(DISTRIBUTIONS, 50, random_state=0)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_is_allowed(kind):
    for candidate in CANDIDATES:
        check_params(kind(**candidate))


@pytest.mark.parametrize("kind", KINDS)
def test_the_grid_holds_the_defaults_of_what_it_varies(kind):
    default = preset("default", kind)
    assert {name: default[name] for name in GRID} in list(ParameterGrid(GRID))


def test_a_search_goes_through_the_grid_in_a_pipeline():
    model = make_table_pipeline(NODEClassifier(max_epochs=1, n_members=1, random_state=0))
    grid = {f"nodeclassifier__{name}": values for name, values in GRID.items()}
    search = GridSearchCV(model, grid, cv=2).fit(*load_iris(return_X_y=True))
    assert len(search.cv_results_["params"]) == 10
    assert set(search.best_params_) == set(grid)
