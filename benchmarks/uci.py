"""Five small UCI sets with published splits: sknode beside MC dropout and deep ensembles.

The 20 splits are those that came with Gal & Ghahramani (2016), with a tenth of the rows for the
test; `gal_splits.npz` in the folder has the test rows. NODERegressor is fitted on the raw features.
Seconds are CPU seconds of one thread. Results are appended to a file, one JSON line each, and what
stands there is not run again.

    python benchmarks/uci.py --data FOLDER [--out uci.jsonl] [--sets NAME ...] [--splits 20]
        [--preset default|fast|accurate]
"""

import argparse
import itertools
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # numpy and torch read it when they are imported

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import root_mean_squared_error
from tabular import (
    Job,
    node,
    print_table,
    print_versions,
    read_table,
    run,
    succeeded,
    timed,
    warm_up,
)

PREFIX = "gal_"  # the names of the files begin with it
# These are the RMSE with MC dropout, as the authors measured it anew in 2018 for their repository
# yaringal/DropoutUncertaintyExps, and with deep ensembles, Lakshminarayanan et al. (2017).
PUBLISHED = {
    "concrete": (4.82, 6.03),
    "energy": (0.54, 2.09),
    "kin8nm": (0.079, 0.09),
    "power-plant": (4.01, 4.11),
    "yacht": (0.67, 1.58),
}


def measure(job: Job, folder: Path, make: Callable[[str, int], BaseEstimator]) -> dict[str, float]:
    """Fit on the rows that a split leaves for training, and predict the others."""
    X, y = read_table(folder / f"{PREFIX}{job.table}.parquet", "regression")
    X = X.to_numpy(dtype=float)
    test = np.load(folder / "gal_splits.npz")[f"{job.table}__test_{job.seed}"]
    train = np.setdiff1d(np.arange(len(X)), test)
    warm_up(make, "regression")
    estimator = make("regression", job.seed)
    _, fit_seconds, fit_wall = timed(estimator.fit, X[train], y[train])
    predicted, predict_seconds, _ = timed(estimator.predict, X[test])
    return {
        "rmse": root_mean_squared_error(y[test], predicted),
        "fit_seconds": fit_seconds, "fit_wall": fit_wall, "predict_seconds": predict_seconds,
    }  # fmt: skip


def figures(chosen: pd.DataFrame) -> list[str]:
    """Return the RMSE and the seconds of a fit, over the splits of one set and model."""
    if chosen.empty:
        return ["–", "–"]
    rmse = chosen["rmse"]
    seconds = chosen["fit_seconds"]
    return [f"{rmse.mean():.3g} ± {rmse.sem():.2g}", f"{seconds.mean():.2f}"]


def report(found: list[dict]) -> None:
    """Print the figures of all models in the file beside the published ones."""
    results = succeeded(found, ("rmse", "fit_seconds"))
    models = results["model"].unique()
    rows = []
    for name, published in PUBLISHED.items():
        of_set = results[results["table"] == name]
        ours = (figures(of_set[of_set["model"] == model]) for model in models)
        rows.append([name, *itertools.chain(*ours), *map(str, published)])
    header = itertools.chain(*((model, "seconds of a fit") for model in models))
    print_table(["RMSE ± standard error", *header, "MC dropout", "deep ensembles"], rows)
    print_versions(found)


def main() -> None:
    """Run what is left to run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with gal_splits.npz")
    parser.add_argument("--out", type=Path, default="uci.jsonl")
    parser.add_argument("--sets", nargs="+", choices=PUBLISHED, default=list(PUBLISHED))
    parser.add_argument("--splits", type=int, default=20, help="how many of the 20")
    parser.add_argument("--preset", choices=("default", "fast", "accurate"), default="default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    preset = None if options.preset == "default" else options.preset
    model = f"sknode {preset}" if preset else "sknode"
    order = itertools.product(range(options.splits), options.sets)
    jobs = [Job(name, model, split) for split, name in order]
    work = partial(measure, folder=options.data, make=partial(node, preset=preset))
    report(run(jobs, work, options.out))


if __name__ == "__main__":
    main()
