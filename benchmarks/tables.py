"""Tables: sknode against boosted trees, MLPs and linear models.

Every model gets the raw frame, does its own preprocessing, and keeps its defaults. A quarter of
the rows is for the test, another quarter for every seed. Seconds are CPU seconds of one thread.
Results are appended to a file, one JSON line each, and what stands there is not run again. The
folder has the tables as parquet files with a column `target`, and a list of them, INDEX.csv. The
rivals need `pip install lightgbm pytabkit`.

    python benchmarks/tables.py --data FOLDER [--out tables.jsonl] [--tables NAME ...]
        [--models NAME ...] [--seeds 0 1 2] [--max-rows 20000] [--plot FILE]
"""

import argparse
import itertools
import logging
import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # numpy and torch read it when they are imported

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
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

TASKS = ("binary", "multiclass", "regression")
MOST_FEATURES = 200
MOST_CATEGORIES = 255  # HistGradientBoosting takes no more in one column
RAREST_CLASS = 8  # rows: the models split the training part once more, by class
NUMBERS = make_column_selector(dtype_include="number")
OTHERS = make_column_selector(dtype_exclude="number")
REFERENCE = "HistGradientBoosting"
SLOW = "TabM"


class Categorical(TransformerMixin, BaseEstimator):
    """Give columns without numbers the dtype `category`; new and rare categories are missing."""

    def fit(self, X, y=None):
        """Note the categories."""
        self.dtypes_ = {
            name: pd.CategoricalDtype(X[name].value_counts().index[:MOST_CATEGORIES])
            for name in OTHERS(X)
        }
        return self

    def transform(self, X):
        """Return a frame."""
        X = X.copy()
        for name, dtype in self.dtypes_.items():
            known = X[name].where(X[name].isin(dtype.categories)).astype(dtype)
            # Text stands for them, as scikit-learn takes categories of booleans for numbers.
            X[name] = known.cat.rename_categories(str)
        return X


def sknode_model(task: str, seed: int, preset: str | None = None) -> BaseEstimator:
    """Return a Neural ODE behind the preprocessing that sknode has for tables."""
    import sknode

    return sknode.make_table_pipeline(node(task, seed, preset))


def boosting(task: str, seed: int) -> BaseEstimator:
    """Return scikit-learn's boosted trees."""
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return make_pipeline(Categorical(), kind(random_state=seed))


def lightgbm(task: str, seed: int) -> BaseEstimator:
    """Return LightGBM."""
    from lightgbm import LGBMClassifier, LGBMRegressor

    kind = LGBMRegressor if task == "regression" else LGBMClassifier
    return make_pipeline(Categorical(), kind(random_state=seed, n_jobs=1, verbose=-1))


def behind_scaling(task: str, estimator: BaseEstimator) -> BaseEstimator:
    """Return an estimator behind what it needs: imputed, standardised and one-hot features."""
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES, sparse_output=False
    )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    model = make_pipeline(make_column_transformer((numbers, NUMBERS), (one_hot, OTHERS)), estimator)
    if task != "regression":
        return model
    return TransformedTargetRegressor(model, transformer=StandardScaler())


def mlp(task: str, seed: int, early_stopping: bool = False) -> BaseEstimator:
    """Return scikit-learn's MLP."""
    kind = MLPRegressor if task == "regression" else MLPClassifier
    return behind_scaling(task, kind(random_state=seed, early_stopping=early_stopping))


def linear(task: str, seed: int) -> BaseEstimator:
    """Return a linear model."""
    return behind_scaling(
        task, Ridge() if task == "regression" else LogisticRegression(max_iter=1000)
    )


def from_pytabkit(task: str, seed: int, name: str) -> BaseEstimator:
    """Return a network of pytabkit, which takes no missing numbers."""
    import pytabkit

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    kind = getattr(pytabkit, name + ("_Regressor" if task == "regression" else "_Classifier"))
    imputed = make_column_transformer(
        (SimpleImputer(strategy="median"), NUMBERS),
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    network = kind(device="cpu", random_state=seed, n_threads=1, verbosity=0)
    return make_pipeline(imputed, Categorical(), network)


MODELS: dict[str, Callable[[str, int], BaseEstimator]] = {
    "sknode": sknode_model,
    "sknode fast": partial(sknode_model, preset="fast"),
    "sknode accurate": partial(sknode_model, preset="accurate"),
    REFERENCE: boosting,
    "MLP": mlp,
    "MLP, early stopping": partial(mlp, early_stopping=True),
    "linear": linear,
    "LightGBM": lightgbm,
    "RealMLP": partial(from_pytabkit, name="RealMLP_TD"),
    SLOW: partial(from_pytabkit, name="TabM_D"),
}


def list_tables(folder: Path) -> pd.DataFrame:
    """Return task and file of the tables that all models take, by name."""
    index = pd.read_csv(folder / "INDEX.csv", index_col="name")
    fits = index["n_numeric"] + index["n_categorical"] <= MOST_FEATURES
    return index[fits & index["task"].isin(TASKS) & index["file"].str.endswith(".parquet")]


def split(X: pd.DataFrame, y: np.ndarray, task: str, seed: int, max_rows: int) -> list:
    """Return the features for training and test, then the targets."""
    if len(X) > max_rows:
        X = X.sample(max_rows, random_state=seed)
        y = y[X.index]
    if task == "regression":
        return train_test_split(X, y, random_state=seed)
    keep = np.bincount(y)[y] >= RAREST_CLASS
    y = np.unique(y[keep], return_inverse=True)[1]
    return train_test_split(X[keep], y, random_state=seed, stratify=y)


def scores(task: str, y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the scores of predicted numbers, or of probabilities."""
    if task == "regression":
        return {"rmse": root_mean_squared_error(y, predicted), "r2": r2_score(y, predicted)}
    predicted = predicted.astype(float)
    predicted /= predicted.sum(1, keepdims=True)  # single precision leaves a rest
    labels = np.arange(predicted.shape[1])
    return {
        "accuracy": accuracy_score(y, predicted.argmax(1)),
        "log_loss": log_loss(y, predicted, labels=labels),
        "brier": brier_score_loss(y, predicted, labels=labels),
    }


def consistency_of(estimator: BaseEstimator, X: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    """Return what a tighter solve changes, and the evaluations of the field in both."""
    from sknode.inspection import solver_consistency

    found = solver_consistency(estimator, X, y)
    return {name: float(value) for name, value in found._asdict().items()}


def measure(job: Job, index: pd.DataFrame, folder: Path, max_rows: int) -> dict:
    """Fit and predict."""
    task, file = index.loc[job.table, ["task", "file"]]
    X, y = read_table(folder / file, task)
    X_train, X_test, y_train, y_test = split(X, y, task, job.seed, max_rows)
    make = MODELS[job.model]
    warm_up(make, task)
    estimator = make(task, job.seed)
    _, fit_seconds, fit_wall = timed(estimator.fit, X_train, y_train)
    predict = estimator.predict if task == "regression" else estimator.predict_proba
    predicted, predict_seconds, _ = timed(predict, X_test)
    result = {
        "task": task, "rows": len(X_train) + len(X_test), "features": X.shape[1],
        **scores(task, y_test, np.asarray(predicted)),
        "fit_seconds": fit_seconds, "fit_wall": fit_wall, "predict_seconds": predict_seconds,
    }  # fmt: skip
    if job.model.startswith("sknode"):
        result["consistency"] = consistency_of(estimator, X_test, y_test)
    return result


def by_model(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column by table and seed, one column for every model."""
    found = results.pivot(index=["table", "seed"], columns="model", values=column)
    return found[[name for name in MODELS if name in found]]


def means_of(values: pd.DataFrame, ours: str, theirs: str) -> tuple[pd.Series, pd.Series]:
    """Return the means over seeds of two models, from the tables and seeds that both have."""
    both = values[values[ours].notna() & values[theirs].notna()].groupby("table").mean()
    return both[ours], both[theirs]


def ratio(values: pd.DataFrame, ours: str, theirs: str) -> float:
    """Return the geometric mean over tables of the ratio of two models."""
    a, b = means_of(values, ours, theirs)
    return float(np.exp(np.log(a / b).mean()))


def print_means(title: str, values: pd.DataFrame) -> None:
    """Print the mean over seeds of every table and model, the lowest of a table in bold."""
    means = values.groupby("table").mean().dropna(how="all")
    rows = []
    for table, row in means.iterrows():
        cells = ["–" if np.isnan(value) else f"{value:.4g}" for value in row]
        cells[row.argmin()] = f"**{cells[row.argmin()]}**"
        rows.append([table, *cells])
    print_table([title, *means.columns], rows)


def print_comparison(errors: pd.DataFrame, seconds: pd.DataFrame) -> None:
    """Print how each sknode model fares against each of the others."""
    rows = []
    for ours, theirs in itertools.permutations(errors.columns, 2):
        if ours.startswith("sknode"):
            a, b = means_of(errors, ours, theirs)
            ratios = (f"{ratio(values, ours, theirs):.3g}" for values in (errors, seconds))
            rows.append([f"{ours} / {theirs}", *ratios, f"{(a <= b).sum()} of {len(a)}"])
    print_table(("geometric means", "error", "fit seconds", "at least as good"), rows)


def print_consistency(results: pd.DataFrame) -> None:
    """Print what a tighter solve changes, for every table and sknode model."""
    ours = results.dropna(subset="consistency")
    values = pd.DataFrame(list(ours["consistency"]), index=ours.index)
    means = values.groupby([ours["table"], ours["model"]]).mean()
    rows = [[*key, *(f"{value:.4g}" for value in row)] for key, *row in means.itertuples()]
    print_table(("table", "model", *means.columns), rows)


def plot(errors: pd.DataFrame, seconds: pd.DataFrame, path: str) -> None:
    """Draw the error against the time for a fit, a point for every model."""
    import matplotlib.pyplot as plt

    if REFERENCE not in errors:
        raise SystemExit(f"--plot compares with {REFERENCE}, which has no results")
    figure, ax = plt.subplots(figsize=(8, 5), layout="constrained")
    scale = np.exp(np.log(seconds[REFERENCE].groupby("table").mean()).mean())
    # A slow model may lack the large tables: the others say nothing of its mean.
    for name in errors.columns[errors.groupby("table").mean().notna().all()]:
        point = scale * ratio(seconds, name, REFERENCE), ratio(errors, name, REFERENCE)
        ax.scatter(*point, color="C1" if name.startswith("sknode") else "C0")
        ax.annotate(name, point, xytext=(5, 5), textcoords="offset points")
    ax.set(xscale="log", xlabel="CPU seconds of a fit", ylabel=f"error / {REFERENCE}'s")
    ax.set_title("geometric means over tables")
    ax.margins(x=0.3)
    ax.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def report(found: list[dict], path: str | None) -> None:
    """Print all tables, and draw the plot."""
    columns = ("rows", "accuracy", "rmse", "log_loss", "brier", "fit_seconds", "consistency")
    results = succeeded(found, columns)
    # Half a wrong row of the test part counts in place of none, as the means are geometric.
    wrong = (1 - results["accuracy"]).clip(lower=2 / results["rows"])
    errors = by_model(results.assign(error=wrong.fillna(results["rmse"])), "error")
    seconds = by_model(results, "fit_seconds")
    print_means("1 − accuracy, or RMSE", errors)
    print_comparison(errors, seconds)
    for column, title in (("log_loss", "log-loss"), ("brier", "Brier score")):
        print_means(title, by_model(results, column))
    print_means("CPU seconds of a fit", seconds)
    print_consistency(results)
    print_versions(found)
    if path:
        plot(errors, seconds, path)


def main() -> None:
    """Run what is left to run, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with INDEX.csv")
    parser.add_argument("--out", type=Path, default="tables.jsonl")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="all when not given")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, metavar="NAME",
        default=[name for name in MODELS if name != SLOW],
        help=f"of {', '.join(MODELS)}; all but the last when not given, which takes hours",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-rows", type=int, default=20_000)
    parser.add_argument("--plot", metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    index = list_tables(options.data)
    order = itertools.product(options.models, options.seeds, options.tables or index.index)
    jobs = [Job(table, model, seed) for model, seed, table in order]
    work = partial(measure, index=index, folder=options.data, max_rows=options.max_rows)
    report(run(jobs, work, options.out), options.plot)


if __name__ == "__main__":
    main()
