"""The main job: tune Neural ODEs in pipelines on the data sets that scikit-learn ships.

For every data set, a grid search over the hyperparameters of the ODE, then the cross-validated
score of the best ones beside a linear model and scikit-learn's MLP on the same folds.

    python benchmarks/demo.py
"""

import time
import warnings
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn import datasets
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknode import NODEClassifier, NODERegressor

# One change at a time from the defaults, which keeps the demo short.
GRID = [
    {"augment_dim": [0, 2]},
    {"time_dependent": [False]},
    {"solver": ["bosh3"]},
    {"lift": ["linear"]},
]


class Job(NamedTuple):
    """A data set, the Neural ODE for it, and what it is compared with."""

    name: str
    load: str
    node: BaseEstimator
    linear: BaseEstimator
    mlp: BaseEstimator


def classification(name: str, load: str, **settings: object) -> Job:
    """Return the job of a classification data set."""
    mlp = MLPClassifier(random_state=0)
    return Job(name, load, NODEClassifier(random_state=0, **settings), LogisticRegression(), mlp)


JOBS = [
    classification("iris", "load_iris"),
    classification("wine", "load_wine"),
    classification("breast cancer", "load_breast_cancer", max_epochs=20),
    classification("digits", "load_digits", max_epochs=10),
    Job(
        "diabetes",
        "load_diabetes",
        NODERegressor(random_state=0, max_epochs=30),
        RidgeCV(np.logspace(-3, 3, 13)),
        MLPRegressor(random_state=0, max_iter=1000),
    ),
]


def tune(job: Job, X: np.ndarray, y: np.ndarray, folds: object) -> GridSearchCV:
    """Search the grid in two processes."""
    pipeline = make_pipeline(VarianceThreshold(), job.node)
    step = type(job.node).__name__.lower()
    grid = [{f"{step}__{name}": values for name, values in part.items()} for part in GRID]
    return GridSearchCV(pipeline, grid, cv=folds, n_jobs=2).fit(X, y)


def run(job: Job) -> list[str]:
    """Return the job's row of the table."""
    X, y = getattr(datasets, job.load)(return_X_y=True)
    splitter = StratifiedKFold if is_classifier(job.node) else KFold
    folds = splitter(5, shuffle=True, random_state=0)
    start = time.perf_counter()
    search = tune(job, X, y, splitter(3, shuffle=True, random_state=1))
    best = search.best_estimator_
    scores = [score(best, X, y, folds)]
    seconds = time.perf_counter() - start
    scores += [
        score(make_pipeline(StandardScaler(), clone(other)), X, y, folds)
        for other in (job.linear, job.mlp)
    ]
    chosen = ", ".join(
        f"{name.split('__')[1]}={value}" for name, value in search.best_params_.items()
    )
    last = best[-1].history_[-1]
    nfe = f"{last['nfe_forward']:.0f} / {last['nfe_backward']:.0f}"
    return [job.name, scores[0], chosen, nfe, f"{seconds:.1f}", *scores[1:]]


def score(estimator: BaseEstimator, X: np.ndarray, y: np.ndarray, folds: object) -> str:
    """Return mean ± spread of the score over the folds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = cross_val_score(estimator, X, y, cv=folds)
    return f"{scores.mean():.3f} ± {scores.std():.3f}"


def main() -> None:
    """Run all jobs behind a progress bar, then print the table."""
    torch.set_num_threads(1)
    console = Console(width=130)
    table = Table(title="accuracy, and R² for diabetes, over 5 folds")
    for column in ("data set", "NODE", "best of the grid", "nfe fwd / bwd", "s", "linear", "MLP"):
        table.add_column(column)
    bar = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*bar, console=console) as progress:
        task = progress.add_task("", total=len(JOBS))
        for job in JOBS:
            progress.update(task, description=job.name)
            table.add_row(*run(job))
            progress.advance(task)
    console.print(table)


if __name__ == "__main__":
    main()
