"""Accuracy of the defaults on iris: 5-fold cross-validation, repeated 5 times.

python benchmarks/iris.py
"""

import platform
import time

import sklearn
import torch
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknode
from sknode import NODEClassifier

CONTENDERS = {
    "NODEClassifier": NODEClassifier(random_state=0),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(max_iter=1000, random_state=0)),
    "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
}


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    X, y = load_iris(return_X_y=True)
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=5, random_state=0)
    print("| iris, 5-fold × 5 | accuracy | spread over folds | seconds per fit |")
    print("|---|---|---|---|")
    for name, estimator in CONTENDERS.items():
        start = time.perf_counter()
        scores = cross_val_score(estimator, X, y, cv=folds)
        seconds = (time.perf_counter() - start) / len(scores)
        print(f"| {name} | {scores.mean():.3f} | {scores.std():.3f} | {seconds:.2f} |")
    print(
        f"\ndefaults (MLPClassifier: max_iter=1000), one thread; {platform.machine()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, scikit-learn "
        f"{sklearn.__version__}, sknode {sknode.__version__}"
    )


if __name__ == "__main__":
    main()
