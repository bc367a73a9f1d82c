"""What a search is worth: the defaults, the grid and the distributions of `sknode.search_spaces`.

Rows and validation are those of `defaults.py`; a candidate is judged by three folds of the rows to
fit, classifiers by their log-loss. Results are appended to a file, one JSON line each, and what
stands there is not run again.

    python benchmarks/search.py --data FOLDER [--out search.jsonl] [--tables NAME ...]
        [--seeds 0] [--max-rows 1000]
"""

import argparse
import itertools
import os
import warnings
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # numpy and torch read it when they are imported

import numpy as np
import pandas as pd
import torch
from defaults import training_part
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from tables import list_tables
from tabular import Job, node, print_table, print_versions, run, timed

from sknode import make_table_pipeline
from sknode.search_spaces import DISTRIBUTIONS, GRID

WAYS = ("defaults", "grid", "20 random candidates")
TABLES = ("gal_concrete", "gal_energy", "gal_yacht", "phoneme", "titanic")


def searched(way: str, task: str, seed: int) -> BaseEstimator:
    """Return a model that is searched for in one of the ways."""
    estimator = node(task, seed)
    model = make_table_pipeline(estimator)
    prefix = type(estimator).__name__.lower() + "__"
    scoring = "neg_root_mean_squared_error" if task == "regression" else "neg_log_loss"
    judged = {"scoring": scoring, "cv": 3}
    if way == "grid":
        return GridSearchCV(model, {prefix + name: GRID[name] for name in GRID}, **judged)
    if way == "20 random candidates":
        space = {prefix + name: DISTRIBUTIONS[name] for name in DISTRIBUTIONS}
        return RandomizedSearchCV(model, space, n_iter=20, random_state=seed, **judged)
    return model


def measure(job: Job, index: pd.DataFrame, folder: Path, max_rows: int) -> dict:
    """Search on a part of the training rows, and judge what was found by the others."""
    table = index.loc[job.table]
    X, X_valid, y, y_valid = training_part(table, folder, job.seed, max_rows)
    model, seconds, _ = timed(searched(job.model, table["task"], job.seed).fit, X, y)
    best = getattr(model, "best_params_", {})
    found = {"seconds": seconds, "best": {name: str(value) for name, value in best.items()}}
    if table["task"] == "regression":
        return {"error": root_mean_squared_error(y_valid, model.predict(X_valid)), **found}
    loss = log_loss(y_valid, model.predict_proba(X_valid))
    accuracy = accuracy_score(y_valid, model.predict(X_valid))
    return {"error": 1 - accuracy, "log_loss": loss, **found}


def report(found: list[dict]) -> None:
    """Print each table's errors, log-losses and seconds over those of the defaults."""
    print_versions(found)
    results = pd.DataFrame(found)
    logs = np.log(
        results.set_index(["table", "seed", "model"])
        .reindex(columns=["error", "log_loss", "seconds"])
        .astype(float)
    )
    ratio = np.exp((logs - logs.xs(WAYS[0], level="model")).groupby(["table", "model"]).mean())
    rows = [
        [
            table,
            way,
            *("" if np.isnan(value) else f"{value:.3g}" for value in ratio.loc[table, way]),
        ]
        for table in sorted(set(results["table"]))
        for way in WAYS[1:]
    ]
    print_table(("table", "search", "error / defaults", "log-loss / defaults", "seconds"), rows)


def main() -> None:
    """Run what is left to run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with INDEX.csv")
    parser.add_argument("--out", type=Path, default="search.jsonl")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-rows", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    index = list_tables(options.data)
    jobs = [
        Job(name, way, seed)
        for seed, name, way in itertools.product(options.seeds, options.tables, WAYS)
    ]
    work = partial(measure, index=index, folder=options.data, max_rows=options.max_rows)
    report(run(jobs, work, options.out))


if __name__ == "__main__":
    main()
