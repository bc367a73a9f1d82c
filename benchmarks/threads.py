"""What a second thread gains the native engine, one thread and two taking turns of ten.

A solve alone, forward and backward; and a whole training step, whose other operations torch runs
on threads of its own. Those wait for work in a busy loop unless OMP_WAIT_POLICY=passive is set.

    python benchmarks/threads.py
    OMP_WAIT_POLICY=passive python benchmarks/threads.py
"""

import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from rivals import Size, sknode_solve, with_torch

import sknode
from sknode.modules import MLPField, ODEBlock

SIZES = [(128, 9, 32), (256, 80, 128), (1024, 32, 128), (4096, 32, 128)]
TURNS = 6
CALLS_A_TURN = 10


def solves(rows: int, dims: int, width: int) -> dict[str, Callable[[], object]]:
    """Return what is measured."""
    block = ODEBlock(MLPField(dims, (width, width)), engine="native")
    tasks = with_torch(partial(sknode_solve, engine="native"), Size(rows, dims, width), "float32")
    z0, g = torch.randn(2, rows, dims)
    return {
        "forward": torch.no_grad()(lambda: block(z0)),
        "forward and backward": lambda: block(z0).backward(g),
        "training step": tasks["training step"],
    }


def milliseconds(call: Callable[[], object]) -> dict[int, float]:
    """Return the median time on one thread and on two."""
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(TURNS):
        for n_threads, found in times.items():
            torch.set_num_threads(n_threads)
            for _ in range(CALLS_A_TURN):
                start = time.perf_counter()
                call()
                found.append(1e3 * (time.perf_counter() - start))
    return {n: statistics.median(found[CALLS_A_TURN:]) for n, found in times.items()}


def main() -> None:
    """Print the table."""
    for i, size in enumerate(SIZES):
        torch.manual_seed(0)
        calls = solves(*size)
        if i == 0:
            columns = [f"{name}: 1 thread, ms | 2 threads | gain" for name in calls]
            print(f"| rows×dims, width | {' | '.join(columns)} |\n" + "|---" * 10 + "|")
        cells = []
        for call in calls.values():
            one, two = milliseconds(call).values()
            cells += [f"{one:.2f}", f"{two:.2f}", f"{one / two:.2f}×"]
        print("| {}×{}, {} | ".format(*size) + " | ".join(cells) + " |")
    print(
        f"\nfloat32, dopri5, tolerance 1e-3; medians; OMP_WAIT_POLICY="
        f"{os.environ.get('OMP_WAIT_POLICY', 'not set')}; {platform.machine()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, sknode {sknode.__version__}"
    )


if __name__ == "__main__":
    main()
