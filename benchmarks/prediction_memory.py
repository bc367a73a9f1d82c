"""Memory that a prediction of many rows takes beyond its input: the peak, and what is kept.

Every figure is that of a process of its own, on Linux: the peak of its resident memory while it
predicts less what it had before, and what it has afterwards. Results are counted, but for those of
`trajectory`, of three times.

    python benchmarks/prediction_memory.py [--rows 1000000]
"""

import argparse
import multiprocessing
import re
from pathlib import Path

import numpy as np
import torch
from machine import machine

import sknode
from sknode import preset

STATUS = Path("/proc/self/status")
REFERENCES = Path("/proc/self/clear_refs")
METHODS = ("predict", "predict_proba", "trajectory")
N_FEATURES = 20
CASES = {
    "NODEClassifier": {},
    "NODEClassifier, classical": preset("classical"),
    "NODERegressor": {},
    "ResNetClassifier": {},
    "ResNetRegressor": {},
    "NODEImageClassifier": {"image_shape": (4, 5)},
    "ResNetImageClassifier": {"image_shape": (4, 5)},
}


def megabytes(what: str) -> float:
    """Return what the kernel says of this process's memory: now VmRSS, at its peak VmHWM."""
    return int(re.search(rf"{what}:\s+(\d+) kB", STATUS.read_text())[1]) / 1024


def measure(case: str, method: str, n_rows: int) -> tuple[float, float]:
    """Return the peak over the input while rows are predicted, and what is kept afterwards."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, N_FEATURES))
    y = rng.integers(3, size=500)
    estimator = getattr(sknode, case.partition(",")[0])(
        **{**CASES[case], "max_epochs": 1, "random_state": 0}
    )
    estimator.fit(X[:500], y)
    call = getattr(estimator, method)
    further = ([0.0, 0.5, 1.0],) if method == "trajectory" else ()
    call(X[:100], *further)
    REFERENCES.write_text("5")
    before = megabytes("VmRSS")
    result = call(X, *further)
    counted = result.nbytes / 2**20 if method == "trajectory" else 0.0
    peak = megabytes("VmHWM") - before - counted
    del result
    return peak, megabytes("VmRSS") - before


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    n_rows = parser.parse_args().rows
    print(f"| MB, {n_rows:,} rows of {N_FEATURES} numbers | method | peak | kept |")
    print("|---|---|---|---|")
    for case in CASES:
        for method in METHODS:
            if method == "predict_proba" and "Regressor" in case:
                continue
            # An array of so many states would take tens of gigabytes.
            n = n_rows // 10 if method == "trajectory" else n_rows
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak, kept = pool.apply(measure, (case, method, n))
            print(f"| {case} | {method}, {n:,} rows | {peak:.0f} | {kept:.0f} |", flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
