"""When to stop: at the end, by rows that no member sees, or by rows that one member does not see.

Rows and validation are those of `defaults.py`. To targets that are numbers, as much noise as there
is signal is added in a second round: what is learned by heart then does harm.

    python benchmarks/stopping.py --data FOLDER [--out stopping.jsonl] [--tables NAME ...]
        [--seeds 0 1] [--max-rows 1000]
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
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from tables import list_tables
from tabular import Job, node, print_table, run, timed

WAYS = ("to the end", "rows of all members", "rows of each member")
TABLES = (
    "california_housing", "gal_concrete", "gal_energy", "gal_kin8nm", "gal_power-plant",
    "gal_yacht", "letter", "magic", "phoneme",
)  # fmt: skip
NOISY = " with noise"


def fit(way: str, task: str, seed: int, X: np.ndarray, y: np.ndarray) -> object:
    """Fit in one of the ways."""
    estimator = node(task, seed)
    if way == "to the end":
        return estimator.set_params(early_stopping=False).fit(X, y)
    if way == "rows of each member":
        return estimator.set_params(early_stopping=True).fit(X, y)
    strata = None if task == "regression" else y
    X, X_val, y, y_val = train_test_split(X, y, test_size=0.1, random_state=seed, stratify=strata)
    return estimator.fit(X, y, X_val=X_val, y_val=y_val)


def measure(job: Job, index: pd.DataFrame, folder: Path, max_rows: int) -> dict:
    """Fit, and judge by rows held back from all of it."""
    table = index.loc[job.table.removesuffix(NOISY)]
    task = table["task"]
    X, X_valid, y, y_valid = training_part(table, folder, job.seed, max_rows)
    X = X.to_numpy(float)
    X_valid = X_valid.to_numpy(float)
    if job.table.endswith(NOISY):
        rng = np.random.default_rng(job.seed)
        scale = y.std()
        y = y + rng.normal(scale=scale, size=y.shape)
        y_valid = y_valid + rng.normal(scale=scale, size=y_valid.shape)
    model, seconds, _ = timed(fit, job.model, task, job.seed, X, y)
    found = {"fit_seconds": seconds, "best_epoch": float(model.best_epoch_)}
    if task == "regression":
        return {"error": root_mean_squared_error(y_valid, model.predict(X_valid)), **found}
    loss = log_loss(y_valid, model.predict_proba(X_valid))
    return {"error": 1 - model.score(X_valid, y_valid), "log_loss": loss, **found}


def report(found: list[dict]) -> None:
    """Print the errors over those of training to the end, means over seeds."""
    results = pd.DataFrame(found).assign(noisy=lambda f: f["table"].str.endswith(NOISY))
    columns = ["error", "log_loss", "fit_seconds"]
    keys = ["noisy", "table", "seed"]
    logs = np.log(results.set_index([*keys, "model"]).reindex(columns=columns).astype(float))
    base = logs.xs(WAYS[0], level="model")
    groups = {
        "numbers": lambda k: ~k["noisy"] & k["log_loss"].isna(),
        "numbers, with noise": lambda k: k["noisy"],
        "classes": lambda k: k["log_loss"].notna(),
    }
    rows = []
    for way in WAYS[1:]:
        ratio = (logs.xs(way, level="model") - base).reset_index()
        for group, of in groups.items():
            part = ratio[of(ratio)]
            spread = part["error"].std() / len(part) ** 0.5
            means = np.exp(part[columns].mean())
            loss = "" if part["log_loss"].isna().all() else f"{means['log_loss']:.3f}"
            error = f"{means['error']:.3f} ± {spread:.3f}"
            rows.append([way, group, error, loss, f"{means['fit_seconds']:.2f}", str(len(part))])
    print_table(("judged by", "targets", "error", "log-loss", "seconds", "fits"), rows)


def main() -> None:
    """Run what is left to run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with INDEX.csv")
    parser.add_argument("--out", type=Path, default="stopping.jsonl")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--max-rows", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    index = list_tables(options.data)
    names = [
        name + noise
        for name in options.tables
        for noise in ("", NOISY)
        if not noise or index.loc[name, "task"] == "regression"
    ]
    jobs = [
        Job(name, way, seed) for seed, name, way in itertools.product(options.seeds, names, WAYS)
    ]
    work = partial(measure, index=index, folder=options.data, max_rows=options.max_rows)
    report(run(jobs, work, options.out))


if __name__ == "__main__":
    main()
