"""What is worth searching, for scikit-learn's searches.

The names are those of `NODEClassifier`, `NODERegressor` and the residual networks beside them. In a
pipeline the name of a step goes before them.

Examples
--------
>>> from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
>>> from sknode import NODEClassifier, NODERegressor, make_table_pipeline
>>> from sknode.search_spaces import DISTRIBUTIONS, GRID
>>> search = RandomizedSearchCV(NODERegressor(random_state=0), DISTRIBUTIONS, n_iter=20)
>>> model = make_table_pipeline(NODEClassifier(random_state=0))
>>> grid = {f"nodeclassifier__{name}": values for name, values in GRID.items()}
>>> search = GridSearchCV(model, grid, scoring="neg_log_loss")
"""

from typing import Any

from scipy.stats import loguniform

__all__ = ["DISTRIBUTIONS", "GRID"]

GRID: dict[str, list[Any]] = {
    "lift_frequency": [0.05, 0.1, 0.2, 0.5, 1.0],
    "hidden_layer_sizes": [(64, 64), (128, 128)],
}
"""Ten candidates for a `GridSearchCV`: how fast the waves of a feature, how wide the field."""

DISTRIBUTIONS: dict[str, Any] = {
    "lift_frequency": loguniform(0.05, 1.0),
    "hidden_layer_sizes": [(64, 64), (128, 128), (64, 64, 64)],
    "learning_rate": loguniform(5e-3, 2e-2),
    "weight_decay": loguniform(1e-3, 1e-1),
    "kinetic_penalty": [0.01, 0.03, 0.1],
    "dropout": [0.0, 0.05, 0.1],
}
"""Distributions and lists for a `RandomizedSearchCV` of some twenty candidates."""
