"""Whole estimators: sknode against the same model wired by hand, and against scikit-learn's MLP.

The model wired by hand is a skorch net around torchdiffeq's `odeint_adjoint`, with the same
field, optimizer, epochs and batches as `NODEClassifier`; the MLP has the same hidden width,
epochs and batches. All see standardised numeric features; contenders take turns.

    python benchmarks/estimators.py [--data FOLDER] [--epochs 10] [--repetitions 5] [--plot FILE]
"""

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import skorch
import torch
import torchdiffeq
from sklearn import datasets
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from torch import nn

from sknode import NODEClassifier, NODERegressor, preset
from sknode.modules import MLPField

WIDTH = 32
BATCH = 128
NAMES = ("sknode", "by hand", "MLP")
SHIPPED = {
    "iris": (datasets.load_iris, True),
    "breast cancer": (datasets.load_breast_cancer, True),
    "digits": (datasets.load_digits, True),
    "diabetes": (datasets.load_diabetes, False),
}
TABLES = {"phoneme": True, "magic": True, "letter": True, "gal_power-plant": False}


class HandWired(nn.Module):
    """The same network around torchdiffeq."""

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.field = MLPField(n_features, (WIDTH,))
        with torch.no_grad():
            self.field.layers[-1].weight.mul_(0.1)
        self.head = nn.Linear(n_features, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs."""
        t = torch.tensor([0.0, 1.0])
        solution = torchdiffeq.odeint_adjoint(
            self.field, x, t, rtol=1e-3, atol=1e-3, method="dopri5"
        )
        return self.head(solution[-1])


def contenders(X, y, classify: bool, epochs: int) -> dict[str, tuple[BaseEstimator, np.ndarray]]:
    """Return estimators that are alike in all that they share, each with its targets."""
    n_outputs = len(np.unique(y)) if classify else 1
    wired = (skorch.NeuralNetClassifier if classify else skorch.NeuralNetRegressor)(
        partial(HandWired, X.shape[1], n_outputs),
        optimizer=torch.optim.AdamW, lr=1e-2, max_epochs=epochs, batch_size=BATCH,
        train_split=None, verbose=0, iterator_train__shuffle=True,
        **({"criterion": nn.CrossEntropyLoss} if classify else {}),
    )  # fmt: skip
    ours = (NODEClassifier if classify else NODERegressor)(
        **{
            **preset("classical"),
            "hidden_layer_sizes": (WIDTH,),
            "max_epochs": epochs,
            "batch_size": BATCH,
        },
        dtype="float64",
        random_state=0,
        early_stopping=False,
    )
    mlp = (MLPClassifier if classify else MLPRegressor)(
        hidden_layer_sizes=(WIDTH,), max_iter=epochs, batch_size=min(BATCH, len(X)),
        learning_rate_init=1e-2, n_iter_no_change=epochs, tol=0.0, random_state=0,
    )  # fmt: skip
    y_wired = y if classify else y.astype(np.float32)[:, None]
    return dict(zip(NAMES, ((ours, y), (wired, y_wired), (mlp, y)), strict=True))


def data_sets(folder: str | None) -> Iterator[tuple[str, np.ndarray, np.ndarray, bool]]:
    """Yield name, features, targets and whether they are classes."""
    for name, (load, classify) in SHIPPED.items():
        yield name, *load(return_X_y=True), classify
    for name, classify in TABLES.items() if folder else ():
        frame = pd.read_parquet(Path(folder) / f"{name}.parquet")
        y = frame.pop("target").to_numpy()
        y = np.unique(y, return_inverse=True)[1] if classify else (y - y.mean()) / y.std()
        yield name, frame.select_dtypes("number").to_numpy(), y, classify


def seconds(X, y, classify: bool, epochs: int, repetitions: int) -> dict[str, tuple[float, float]]:
    """Return the median seconds of `fit` and of `predict` of each contender."""
    X = StandardScaler().fit_transform(X).astype(np.float32)
    found: dict[str, list[tuple[float, float]]] = {}
    for repetition in range(repetitions + 1):
        for name, (estimator, target) in contenders(X, y, classify, epochs).items():
            start = time.perf_counter()
            estimator.fit(X, target)
            fitted = time.perf_counter()
            estimator.predict(X)
            if repetition:
                found.setdefault(name, []).append((fitted - start, time.perf_counter() - fitted))
    return {
        name: tuple(statistics.median(column) for column in zip(*pairs, strict=True))
        for name, pairs in found.items()
    }


def plot(results: dict[str, dict[str, tuple[float, float]]], epochs: int, path: str) -> None:
    """Draw the times of all data sets, one panel for `fit` and one for `predict`."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for i, (ax, title) in enumerate(zip(axes, ("fit, an epoch", "predict"), strict=True)):
        for j, name in enumerate(NAMES):
            times = [1e3 * found[name][i] / (1 if i else epochs) for found in results.values()]
            ax.bar(np.arange(len(results)) + 0.27 * (j - 1), times, width=0.25, label=name)
        ax.set(title=title, yscale="log", ylabel="milliseconds")
        ax.set_xticks(range(len(results)), list(results), rotation=30, ha="right")
        ax.grid(axis="y", alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a folder of parquet tables with a column `target`")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--plot")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    results: dict[str, dict[str, tuple[float, float]]] = {}
    fits, predicts = ([f"{task}, {name}" for name in NAMES] for task in ("fit", "predict"))
    ratios = "by hand / sknode", "sknode / MLP"
    columns = ("data set", "rows × features", *fits, *ratios, *predicts)
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name, X, y, classify in data_sets(options.data):
        found = seconds(X, y, classify, options.epochs, options.repetitions)
        results[name] = found
        fits = [1e3 * fit / options.epochs for fit, _ in found.values()]
        predictions = [1e3 * predict for _, predict in found.values()]
        ours, wired, mlp = fits
        cells = [
            name, f"{X.shape[0]} × {X.shape[1]}", *(f"{fit:.2f}" for fit in fits),
            f"**{wired / ours:.1f}×**", f"**{ours / mlp:.1f}×**",
            *(f"{predict:.2f}" for predict in predictions),
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |", flush=True)
    names = ("torch", "torchdiffeq", "skorch", "scikit-learn", "sknode")
    print(
        f"\nmilliseconds, `fit` for each of {options.epochs} epochs; one thread, float32, hidden "
        f"width {WIDTH}, batches of {BATCH}; {platform.machine()}, "
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
    )
    if options.plot:
        plot(results, options.epochs, options.plot)


if __name__ == "__main__":
    main()
