"""Iris: the defaults against simpler models, and the plain Neural ODE beside residual networks.

The second table is of 20 epochs with batches of 16 rows, as introductions to Neural ODEs have them.
Both are of 5-fold cross-validation, repeated 5 times.

    python benchmarks/iris.py
"""

import platform
import time

import sklearn
import torch
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknode
from sknode import NODEClassifier, ResNetClassifier, preset

CONTENDERS = {
    "NODEClassifier": NODEClassifier(random_state=0),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(max_iter=1000, random_state=0)),
    "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
}
SHORT = {"max_epochs": 20, "batch_size": 16, "early_stopping": False, "random_state": 0}
NODE = {**preset("classical"), **SHORT}
BLOCKS = {**preset("classical", ResNetClassifier), **SHORT}
VARIANTS = {
    "NODE": NODEClassifier(**NODE, time_dependent=False),
    "NODE with time": NODEClassifier(**NODE),
    "augmented NODE": NODEClassifier(**NODE, time_dependent=False, augment_dim=3),
    "augmented NODE with time": NODEClassifier(**NODE, augment_dim=3),
    "ResNet, 6 blocks": ResNetClassifier(**BLOCKS, n_blocks=6),
    "ResNet, 1 block": ResNetClassifier(**BLOCKS, n_blocks=1),
}


def report(title: str, contenders: dict[str, BaseEstimator]) -> None:
    """Print a table."""
    X, y = load_iris(return_X_y=True)
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=5, random_state=0)
    print(f"| {title} | accuracy | spread over folds | seconds per fit |")
    print("|---|---|---|---|")
    for name, estimator in contenders.items():
        start = time.perf_counter()
        scores = cross_val_score(estimator, X, y, cv=folds)
        seconds = (time.perf_counter() - start) / len(scores)
        print(f"| {name} | {scores.mean():.3f} | {scores.std():.3f} | {seconds:.2f} |")


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    report("iris, 5-fold × 5", CONTENDERS)
    print()
    report("iris, 20 epochs, batches of 16", VARIANTS)
    print(
        f"\ndefaults (MLPClassifier: max_iter=1000), one thread; {platform.machine()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}, sknode {sknode.__version__}"
    )


if __name__ == "__main__":
    main()
