"""What it takes to construct an estimator: searches do so for every candidate and fold.

Ours and scikit-learn's MLPClassifier in turns, in microseconds, medians.

    python benchmarks/construction.py [--runs 21]
"""

import argparse
import statistics
import timeit

from machine import machine
from sklearn.neural_network import MLPClassifier

from sknode import estimators

N_TIMES = 2000
MAKES = {name: getattr(estimators, name) for name in estimators.__all__}
MAKES["MLPClassifier of scikit-learn"] = MLPClassifier


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=21)
    n_runs = parser.parse_args().runs
    found: dict[str, list[float]] = {name: [] for name in MAKES}
    for _ in range(n_runs):
        for name, make in MAKES.items():
            found[name].append(timeit.timeit(make, number=N_TIMES) / N_TIMES)
    print("| estimator | µs |\n|---|---|")
    for name, seconds in found.items():
        print(f"| {name} | {1e6 * statistics.median(seconds):.1f} |")
    print(f"\nmedians of {n_runs}; {machine()}")


if __name__ == "__main__":
    main()
