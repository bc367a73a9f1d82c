"""What each setting does: variants of a Neural ODE, judged on rows that are held back for it.

A fifth of the training rows of `tables.py` is held back for validation, and at most 2,500 rows are
fitted; the test rows of that benchmark are never looked at. Every variant is given by what it
changes in the default. Results are appended to a file and not run again.

    python benchmarks/defaults.py --data FOLDER [--out defaults.jsonl] [--tables NAME ...]
        [--variants NAME ...] [--seeds 0] [--max-rows 2500]
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
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from tables import list_tables, split
from tabular import Job, node, print_table, read_table, run, timed

from sknode.inspection import solver_consistency
from sknode.tables import make_table_pipeline

VARIANTS: dict[str, dict] = {
    "default": {},
    # The field.
    "tanh": {"activation": "tanh"},
    "softplus": {"activation": "softplus"},
    "one hidden layer of 64": {"hidden_layer_sizes": (64,)},
    "three hidden layers of 64": {"hidden_layer_sizes": (64, 64, 64)},
    "hidden layers of 32": {"hidden_layer_sizes": (32, 32)},
    "hidden layers of 128": {"hidden_layer_sizes": (128, 128)},
    # The lift.
    "linear lift": {"lift": "linear"},
    "identity, augmented": {"lift": "identity", "augment_dim": 32},
    "lift to 32 dimensions": {"lift_dim": 32},
    "frequencies of 0.1": {"lift_frequency": 0.1},
    "frequencies of 0.25": {"lift_frequency": 0.25},
    "frequencies of 0.5": {"lift_frequency": 0.5},
    "frequencies of 1": {"lift_frequency": 1.0},
    "standard scaling": {"scaling": "standard"},
    # The solver.
    "rk4, 2 steps": {"n_steps": 2},
    "midpoint, 1 step": {"solver": "midpoint", "n_steps": 1},
    "midpoint, 2 steps": {"solver": "midpoint"},
    "bosh3, 1e-2": {"solver": "bosh3", "tolerance": 1e-2},
    "dopri5, 1e-2": {"solver": "dopri5", "tolerance": 1e-2},
    "dopri5, 1e-3": {"solver": "dopri5", "tolerance": 1e-3},
    # The penalty.
    "penalty 0.1": {"kinetic_penalty": 0.1},
    "penalty 0.01": {"kinetic_penalty": 0.01},
    "no penalty": {"kinetic_penalty": 0.0},
    "no penalty, midpoint, 2 steps": {"kinetic_penalty": 0.0, "solver": "midpoint"},
    "no penalty, bosh3, 1e-2": {"kinetic_penalty": 0.0, "solver": "bosh3", "tolerance": 1e-2},
    "no penalty, dopri5, 1e-2": {"kinetic_penalty": 0.0, "solver": "dopri5", "tolerance": 1e-2},
    "no penalty, dopri5, 1e-3": {"kinetic_penalty": 0.0, "solver": "dopri5", "tolerance": 1e-3},
    # Members.
    "1 member": {"n_members": 1},
    "2 members": {"n_members": 2},
    "8 members": {"n_members": 8},
    # The training.
    "dropout 0.05": {"dropout": 0.05},
    "dropout 0.1": {"dropout": 0.1},
    "no smoothing": {"label_smoothing": 0.0},
    "smoothing 0.05": {"label_smoothing": 0.05},
    "smoothing 0.1": {"label_smoothing": 0.1},
    "60 epochs": {"max_epochs": 60},
    "100 epochs": {"max_epochs": 100},
    "250 epochs": {"max_epochs": 250},
    "learning rate 1.4e-2": {"learning_rate": 1.4e-2},
    "learning rate 3e-3": {"learning_rate": 3e-3},
    "constant learning rate": {"schedule": "constant"},
    "weight decay 0.1": {"weight_decay": 0.1},
    "no weight decay": {"weight_decay": 0.0},
    "no average": {"ema_decay": None},
    "gradients clipped to 1": {"gradient_clip": 1.0},
    "no early stopping": {"early_stopping": False},
    "falling by 1e-4": {"tol": 1e-4},
    "patience 10": {"n_iter_no_change": 10},
    "patience 20": {"n_iter_no_change": 20},
    "patience 40": {"n_iter_no_change": 40},
    "a twentieth held back": {"validation_fraction": 0.05},
    "a fifth held back": {"validation_fraction": 0.2},
    # These batches have half the size, which tables of up to some thousand rows had before.
    "smaller batches": {"batch_size": 40},
    "smaller batches, 7e-3": {"batch_size": 40, "learning_rate": 7e-3},
    "learning rate 7e-3": {"learning_rate": 7e-3},
}


def training_part(table: pd.Series, folder: Path, seed: int, max_rows: int) -> list:
    """Return the features to fit and to validate by, then the targets."""
    X, y = read_table(folder / table["file"], table["task"])
    X, _, y, _ = split(X, y, table["task"], seed, 20_000)
    strata = None if table["task"] == "regression" else y
    X, X_valid, y, y_valid = train_test_split(
        X, y, random_state=seed, test_size=0.2, stratify=strata
    )
    return [X[:max_rows], X_valid, y[:max_rows], y_valid]


def measure(job: Job, index: pd.DataFrame, folder: Path, max_rows: int) -> dict:
    """Fit a variant on a part of the training rows, and judge it by the others."""
    task = index.loc[job.table, "task"]
    regression = task == "regression"
    X, X_valid, y, y_valid = training_part(index.loc[job.table], folder, job.seed, max_rows)
    estimator = node(task, job.seed)
    settings = dict(VARIANTS[job.model])
    if "batch_size" in settings:
        # The variant says the number of batches, which the default has as 20.
        size = 2 ** round(np.log2(len(X) / settings["batch_size"]))
        settings["batch_size"] = int(np.clip(size, 16, 256))
    as_it_is = estimator.get_params()
    if settings and all(as_it_is.get(name, value) == value for name, value in settings.items()):
        return {}  # the estimator lacks the settings, or has them by default
    estimator = make_table_pipeline(estimator.set_params(**settings))
    _, fit_seconds, _ = timed(estimator.fit, X, y)
    found = solver_consistency(estimator, X_valid, y_valid)
    result = {
        "error": found.error, "tight_error": found.tight_error, "deviation": found.deviation,
        "nfe": found.nfe, "fit_seconds": fit_seconds,
    }  # fmt: skip
    if not regression:
        result["log_loss"] = log_loss(y_valid, estimator.predict_proba(X_valid))
    return result


def report(found: list[dict]) -> None:
    """Print every variant over the default, as geometric means over tables and seeds."""
    columns = ["error", "log_loss", "fit_seconds", "tight_error", "nfe"]
    results = pd.DataFrame(found).set_index(["table", "seed", "model"]).reindex(columns=columns)
    results = results.apply(pd.to_numeric, errors="coerce")  # a failure left its message
    default = results.xs("default", level="model")
    rows = []
    for name in (n for n in VARIANTS if n in results.index.get_level_values("model")):
        own = results.xs(name, level="model").dropna(subset="nfe")
        ratio = np.log(own / default.reindex(own.index))
        spread = ratio["error"].std() / len(ratio) ** 0.5
        means = np.exp(ratio[["error", "log_loss", "fit_seconds"]].mean())
        consistency = (own["tight_error"] / own["error"]).mean()
        rows.append([
            name, f"{means['error']:.3f} ± {spread:.3f}", f"{means['log_loss']:.3f}",
            f"{means['fit_seconds']:.2f}", f"{consistency:.3f}", f"{own['nfe'].mean():.1f}",
            str(len(own)),
        ])  # fmt: skip
    print_table(
        ("variant", "error", "log-loss", "seconds", "tight / own error", "nfe", "fits"), rows
    )


def main() -> None:
    """Run what is left to run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with INDEX.csv")
    parser.add_argument("--out", type=Path, default="defaults.jsonl")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="all when not given")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-rows", type=int, default=2500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    index = list_tables(options.data)
    order = itertools.product(options.seeds, options.variants, options.tables or index.index)
    jobs = [Job(table, variant, seed) for seed, variant, table in order]
    work = partial(measure, index=index, folder=options.data, max_rows=options.max_rows)
    report(run(jobs, work, options.out))


if __name__ == "__main__":
    main()
