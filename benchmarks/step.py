"""One training step of a Neural ODE: sknode against torchdiffeq, in the same run.

The model is an MLP field with two tanh layers and a linear head; a step is the solve, a
cross-entropy loss, the backward pass and fused Adam. All contenders start from the same weights,
take turns at every repetition, and have run a few steps before the clock starts.

    python benchmarks/step.py [--repetitions 200]
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torchdiffeq
from rivals import TOLERANCE, Size, sknode_solve, torchdiffeq_solve, with_torch

import sknode

SIZES = [(16, 9, 32), (128, 9, 32), (256, 80, 128)]
SOLVES = {
    "sknode native, discrete": partial(sknode_solve, engine="native"),
    "sknode native, continuous": partial(sknode_solve, engine="native", adjoint="continuous"),
    "sknode eager, discrete": partial(sknode_solve, engine="eager"),
    "sknode eager, continuous": partial(sknode_solve, engine="eager", adjoint="continuous"),
    "torchdiffeq odeint": partial(torchdiffeq_solve, name="odeint"),
    "torchdiffeq odeint_adjoint": partial(torchdiffeq_solve, name="odeint_adjoint"),
}


def measure(steps: dict[str, Callable[[], None]], repetitions: int) -> dict[str, float]:
    """Return each contender's median time in milliseconds, all taking turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for repetition in range(-10, repetitions):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if repetition >= 0:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    columns = []
    for size in SIZES:
        steps = {
            name: with_torch(solve, Size(*size), "float32")["training step"]
            for name, solve in SOLVES.items()
        }
        columns.append(measure(steps, repetitions))
    print("| training step, ms | " + " | ".join(f"{r}×{d}, width {w}" for r, d, w in SIZES) + " |")
    print("|---|" + "---|" * len(SIZES))
    for name in SOLVES:
        print(f"| {name} | " + " | ".join(f"{column[name]:.2f}" for column in columns) + " |")
    for engine in ("native", "eager"):
        for name in list(SOLVES)[4:]:
            ratios = [column[name] / column[f"sknode {engine}, discrete"] for column in columns]
            cells = " | ".join(f"{ratio:.1f}×" for ratio in ratios)
            print(f"| **{name} / {engine}** | {cells} |")
    print(
        f"\none thread, float32, dopri5, tolerance {TOLERANCE}; medians of {repetitions}; "
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchdiffeq {torchdiffeq.__version__}, sknode {sknode.__version__}"
    )


if __name__ == "__main__":
    main()
