"""What the benchmarks on tables share: reading tables, and runs that can be stopped and resumed."""

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from sklearn.base import BaseEstimator

__all__ = [
    "Job",
    "node",
    "print_table",
    "print_versions",
    "read_table",
    "run",
    "succeeded",
    "timed",
    "warm_up",
]

PACKAGES = ("sknode", "scikit-learn", "torch", "numpy", "pandas", "lightgbm", "pytabkit")


class Job(NamedTuple):
    """One fit: a table, a model, and the seed or the number of the split."""

    table: str
    model: str
    seed: int

    def __str__(self) -> str:
        return f"{self.table}, {self.model}, seed {self.seed}"


def node(task: str, seed: int, preset: str | None = None) -> BaseEstimator:
    """Return a Neural ODE with a preset, or with the defaults."""
    import sknode

    settings = sknode.preset(preset) if preset else {}
    kind = sknode.NODERegressor if task == "regression" else sknode.NODEClassifier
    return kind(**settings, random_state=seed)


def read_table(path: Path, task: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the features, and the targets: numbers, or classes from 0 on."""
    frame = pd.read_parquet(path).drop(columns="split", errors="ignore")
    frame = frame.dropna(subset="target").reset_index(drop=True).dropna(axis=1, how="all")
    y = frame.pop("target")
    # LightGBM takes only some of the characters that names may have.
    frame.columns = [f"x{i}" for i in range(frame.shape[1])]
    if task == "regression":
        return frame, y.to_numpy(dtype=float)
    return frame, np.unique(y.astype(str), return_inverse=True)[1]


@cache
def warm_up(make: Callable[[str, int], BaseEstimator], task: str) -> None:
    """Fit once, for what a process does only once, such as imports within a fit."""
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(64, 2)), columns=["x0", "x1"])
    y = X["x0"].to_numpy()
    make(task, 0).fit(X, y if task == "regression" else (y > 0).astype(int))


def timed(call: Callable, *operands) -> tuple[object, float, float]:
    """Return what a call returns, its seconds of CPU and those on the clock."""
    cpu = time.process_time()
    wall = time.perf_counter()
    found = call(*operands)
    return found, time.process_time() - cpu, time.perf_counter() - wall


def read_results(path: Path) -> list[dict]:
    """Return the results in a file, none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def job_of(result: dict) -> Job:
    """Return the job that a result is of."""
    return Job(*(result[field] for field in Job._fields))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def outcome(measure: Callable[[Job], dict], job: Job) -> dict:
    """Return the measured numbers, or the error: one failure does not end the run."""
    try:
        return measure(job)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def run(jobs: Iterable[Job], measure: Callable[[Job], dict], path: Path) -> list[dict]:
    """Append the results of the jobs that have none in the file, and return all in the file."""
    jobs = list(jobs)
    done = {job_of(result) for result in read_results(path)}
    left = [job for job in jobs if job not in done]
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with (
        path.open("a") as file,
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("", total=len(jobs), completed=len(jobs) - len(left))
        for count, job in enumerate(left, len(jobs) - len(left) + 1):
            progress.update(task, description=str(job))
            result = outcome(measure, job)
            file.write(json.dumps({**job._asdict(), **result, "versions": versions()}) + "\n")
            file.flush()
            progress.advance(task)
            text = f"{count}/{len(jobs)}  {job}: {brief(result)}"
            console.print(text, soft_wrap=True, highlight=False, markup=False)
    return read_results(path)


def brief(result: dict) -> str:
    """Return the numbers of a result on one line, or what went wrong."""
    if isinstance(result.get("error"), str):
        return result["error"]
    return ", ".join(f"{k} {v:.4g}" for k, v in result.items() if isinstance(v, float))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, unless it has no rows."""
    rows = list(rows)
    if rows:
        for cells in (header, ["---"] * len(header), *rows):
            print("| " + " | ".join(cells) + " |")
        print()


def print_versions(found: list[dict]) -> None:
    """Print what the results were measured with, all versions of it."""
    pairs = dict.fromkeys(pair for result in found for pair in result["versions"].items())
    print("one thread; " + ", ".join(f"{name} {version}" for name, version in pairs))


def succeeded(found: list[dict], columns: Iterable[str]) -> pd.DataFrame:
    """Return columns of the results; print the failures, which are left out."""
    results = pd.DataFrame(found, columns=[*Job._fields, "error", *columns])
    failures = results[results["error"].notna()]
    for *job, error in failures[[*Job._fields, "error"]].itertuples(index=False):
        print(f"{Job(*job)} failed: {error}")
    return results.drop(failures.index)
