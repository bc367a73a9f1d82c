"""What a second thread gains: one block solved on one thread and on two, taking turns.

python benchmarks/threads.py
"""

import platform
import statistics
import time

import torch

import sknode
from sknode.modules import MLPField, ODEBlock

SIZES = [(128, 9, 32), (256, 80, 128), (1024, 32, 128), (4096, 32, 128)]
REPETITIONS = 40


def main() -> None:
    """Print the table."""
    columns = ("forward: 1 thread, ms", "2 threads", "gain")
    columns += ("forward and backward: 1 thread, ms", "2 threads", "gain")
    print("| rows × dimensions, width | " + " | ".join(columns) + " |\n" + "|---" * 7 + "|")
    for rows, dims, width in SIZES:
        torch.manual_seed(0)
        block = ODEBlock(MLPField(dims, (width, width)), engine="native")
        z0, g = torch.randn(2, rows, dims)
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(REPETITIONS):
            for n_threads in (1, 2):
                torch.set_num_threads(n_threads)
                start = time.perf_counter()
                with torch.no_grad():
                    block(z0)
                middle = time.perf_counter()
                block(z0).backward(g)
                times.setdefault(("forward", n_threads), []).append(middle - start)
                times.setdefault(("both", n_threads), []).append(time.perf_counter() - middle)
        cells = []
        for task in ("forward", "both"):
            one, two = (1e3 * statistics.median(times[task, n][5:]) for n in (1, 2))
            cells += [f"{one:.2f}", f"{two:.2f}", f"**{one / two:.2f}×**"]
        print(f"| {rows}×{dims}, {width} | " + " | ".join(cells) + " |")
    print(
        f"\nfloat32, dopri5, tolerance 1e-3; medians; {platform.machine()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, sknode {sknode.__version__}"
    )


if __name__ == "__main__":
    main()
