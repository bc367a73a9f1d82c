"""Default threads beside busy neighbours: fits and predictions against the same on one thread.

A fit and a prediction with as many threads as torch takes by itself and with OMP_NUM_THREADS=1, in
processes of their own that take turns, while other processes keep cores busy; medians.

    python benchmarks/busy.py [--neighbours 0 2] [--runs 5]
"""

import argparse
import os
import statistics
import subprocess
import sys

from machine import machine

CASES = {
    "NODEClassifier, iris": "NODEClassifier(max_epochs=30, random_state=0), *iris",
    "classical, iris": "NODEClassifier(**preset('classical'), random_state=0), *iris",
    "NODEImageClassifier, 8×8": "NODEImageClassifier(max_epochs=2, random_state=0), *digits",
    "NODEImageClassifier, 28×28": "NODEImageClassifier(max_epochs=1, random_state=0), *large",
    "four members, widths 512": (
        "NODEClassifier(hidden_layer_sizes=(512, 512), max_epochs=1, random_state=0), *table"
    ),
}
CODE = """
import time
import numpy as np
from sklearn.datasets import load_digits, load_iris
from sknode import NODEClassifier, NODEImageClassifier, preset
rng = np.random.default_rng(0)
iris = load_iris(return_X_y=True)
digits = load_digits().images[:600], load_digits().target[:600]
large = rng.random((200, 28, 28)), rng.integers(10, size=200)
table = rng.normal(size=(4000, 20)), rng.integers(3, size=4000)
estimator, X, y = CASE
estimator.fit(X, y)
start = time.perf_counter()
estimator.fit(X, y)
print(time.perf_counter() - start)
start = time.perf_counter()
for _ in range(3):
    estimator.predict(X)
print((time.perf_counter() - start) / 3)
"""
NEIGHBOUR = [sys.executable, "-c", "while True: pass"]


def seconds(case: str, n_threads: int | None) -> list[float]:
    """Return what a fit and a prediction take in a process of its own."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    if n_threads is not None:
        env["OMP_NUM_THREADS"] = str(n_threads)
    code = CODE.replace("CASE", CASES[case])
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
    )
    return [float(number) for number in run.stdout.split()]


def measure(case: str, n_runs: int) -> str:
    """Return cells: a fit's seconds, default threads and one, and their ratio; a prediction's."""
    runs = [(seconds(case, None), seconds(case, 1)) for _ in range(n_runs)]
    cells = []
    for what in range(2):
        default, one = ([run[side][what] for run in runs] for side in range(2))
        ratio = statistics.median(default) / statistics.median(one)
        cells += [f"{statistics.median(default):.3f}", f"{statistics.median(one):.3f}"]
        cells.append(f"{ratio:.2f}")
    return " | ".join(cells)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neighbours", nargs="+", type=int, default=[0, 2])
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    columns = [f"{what}, default threads, s | one | ratio" for what in ("fit", "prediction")]
    print(f"| neighbours | case | {' | '.join(columns)} |\n" + "|---" * 8 + "|")
    for n_neighbours in arguments.neighbours:
        neighbours = [subprocess.Popen(NEIGHBOUR) for _ in range(n_neighbours)]
        try:
            for case in CASES:
                print(f"| {n_neighbours} | {case} | {measure(case, arguments.runs)} |", flush=True)
        finally:
            for neighbour in neighbours:
                neighbour.kill()
    print(f"\n{os.cpu_count()} cores; {machine()}")


if __name__ == "__main__":
    main()
