"""What a fresh process pays: importing sknode, and the first fit beside the second.

Every figure is that of processes of their own, which take turns; medians. Python itself has started
when the clock does.

    python benchmarks/cold.py [--runs 7]
"""

import argparse
import statistics
import subprocess
import sys

from machine import machine

BOTH = "import torch, sklearn.base"
# The first statement of each is over when the clock starts, the second is timed.
IMPORTS = {
    "torch": ("", "import torch"),
    "torch and scikit-learn": ("", BOTH),
    "sknode": ("", "import sknode"),
    "sknode.ode, after torch": ("import torch", "import sknode.ode"),
    "sknode.modules, after torch": ("import torch", "import sknode.modules"),
    "the estimators, after torch and scikit-learn": (BOTH, "from sknode import NODEClassifier"),
}
CLOCK = """
import time
{before}
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
"""
FITS = """
import time
from sklearn.datasets import load_iris
from sknode import {name}
X, y = load_iris(return_X_y=True)
for _ in range(2):
    start = time.perf_counter()
    {name}(max_epochs=10, random_state=0, **{settings}).fit(X, y)
    print(time.perf_counter() - start)
"""
ESTIMATORS = {
    "NODEClassifier": {},
    "NODERegressor": {"solver": "dopri5"},
    "NODEImageClassifier": {"n_filters": 8},
}


def printed(code: str) -> list[float]:
    """Return the numbers that a process prints."""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return [float(number) for number in run.stdout.split()]


def seconds(before: str, code: str) -> float:
    """Return what code takes in a process of its own, after other code that is not timed."""
    (found,) = printed(CLOCK.format(before=before, code=code))
    return found


def two_fits(name: str) -> tuple[float, float]:
    """Return the seconds of the first and the second fit of a process."""
    first, second = printed(FITS.format(name=name, settings=ESTIMATORS[name]))
    return first, second


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7)
    n_runs = parser.parse_args().runs
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    fits: dict[str, list[tuple[float, float]]] = {name: [] for name in ESTIMATORS}
    for _ in range(n_runs):
        for name, (before, code) in IMPORTS.items():
            imports[name].append(seconds(before, code))
        for name, found in fits.items():
            found.append(two_fits(name))
    print("| import | s |\n|---|---|")
    for name, found in imports.items():
        print(f"| {name} | {statistics.median(found):.2f} |")
    print("\n| 10 epochs of iris | first fit, s | second | ratio |\n|---|---|---|---|")
    for name, pairs in fits.items():
        first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(one / two for one, two in pairs)
        print(f"| {name} | {first:.2f} | {second:.2f} | {ratio:.2f} |")
    print(f"\nmedians of {n_runs}; {machine()}")


if __name__ == "__main__":
    main()
