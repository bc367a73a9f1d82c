"""Solves of an MLP field: the native engine against eager torch and the other solvers.

A training step is the solve (dopri5, tolerance 1e-3), a linear head, a cross-entropy loss, the
backward pass and Adam; a prediction is the solve alone; a trajectory is read at 11 times.
Contenders take turns; a turn is ten calls in a row, as in training. Solvers that are not installed
are left out (pip install torchode torchdyn diffrax equinox optax).

    python benchmarks/engine.py [--threads 1] [--dtype float32] [--seconds 3] [--plot FILE]
"""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable

SIZES = [(16, 9, 32), (128, 9, 32), (256, 80, 128), (1024, 32, 128), (4096, 128, 256)]
CALLS_A_TURN = 10
Times = dict[str, float]


def pin(threads: int) -> None:
    """Keep the process on so many cores; to be called before torch and jax are imported."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"


def first_calls(tasks: dict[str, Callable[[], object]]) -> float:
    """Call a training step once, and return the seconds that takes, compilation included."""
    start = time.perf_counter()
    next(iter(tasks.values()))()
    return time.perf_counter() - start


def measure(calls: dict[str, Callable[[], object]], seconds: float) -> Times:
    """Return each contender's median time in milliseconds, all taking turns.

    `seconds` is the time for each contender, but for the slow ones, which get two turns.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    n_turns = 2
    for turn in range(1000):
        spent = 0.0
        for name, call in calls.items():
            n = CALLS_A_TURN if not times[name] or times[name][-1] < 0.2 else 2
            for _ in range(n):
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
                spent += times[name][-1]
        n_turns = max(2, int(seconds * len(calls) / spent)) if turn == 0 else n_turns
        if turn + 1 >= n_turns:
            break
    # The first turn warms up.
    return {name: 1e3 * statistics.median(found[2:]) for name, found in times.items()}


def print_table(task: str, columns: dict[str, Times], reference: str) -> None:
    """Print milliseconds, and how many times the reference's they are."""
    print(f"\n| {task}, ms (times that of {reference}) | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name in next(iter(columns.values())):
        cells = [
            f"{times[name]:.3g} ({times[name] / times[reference]:.3g}×)"
            for times in columns.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


def plot(results: dict[str, dict[str, Times]], path: str, title: str) -> None:
    """Draw all times, one panel a task."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(15, 6), sharey=True, layout="constrained")
    for ax, (task, columns) in zip(axes, results.items(), strict=True):
        for name in next(iter(columns.values())):
            ours = name.startswith("sknode")
            ax.plot(
                list(columns),
                [times[name] for times in columns.values()],
                marker="o",
                linewidth=2.5 if ours else 1,
                linestyle=":" if name.startswith("bare") else "-",
                label=name,
            )
        ax.set(title=task, yscale="log", xlabel="rows × dimensions, width")
        ax.tick_params(axis="x", rotation=30)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("milliseconds")
    axes[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def versions() -> str:
    """Return what was measured."""
    names = ("torch", "torchdiffeq", "torchode", "torchdyn", "diffrax", "jax", "sknode")
    installed = [name for name in names if importlib.util.find_spec(name)]
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in installed)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--sizes", type=int, default=len(SIZES))
    parser.add_argument("--plot")
    options = parser.parse_args()
    pin(options.threads)

    from rivals import CONTENDERS, TASKS, Size

    from sknode.ode import native

    contenders = {
        name: make for name, (package, make) in CONTENDERS.items()
        if importlib.util.find_spec(package)
    }  # fmt: skip
    results: dict[str, dict[str, Times]] = {task: {} for task in TASKS}
    compilations: dict[str, Times] = {}
    for size in (Size(*numbers) for numbers in SIZES[: options.sizes]):
        tasks = {name: make(size, options.dtype) for name, make in contenders.items()}
        compilations[str(size)] = {name: 1e3 * first_calls(task) for name, task in tasks.items()}
        for task in TASKS:
            calls = {name: tasks[name][task] for name in contenders}
            results[task][str(size)] = measure(calls, options.seconds)
    reference = next(iter(contenders))
    for task in TASKS:
        print_table(task, results[task], reference)
    print_table("the first training step", compilations, reference)
    engine = native.ENGINE.__name__.rpartition("_")[2] if native.ENGINE else "none"
    title = f"{options.dtype}, {options.threads} thread(s), {platform.machine()} ({engine})"
    print(f"\n{title}; medians; Python {platform.python_version()}, {versions()}")
    if options.plot:
        plot(results, options.plot, title)


if __name__ == "__main__":
    main()
