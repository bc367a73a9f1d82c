"""Memory of the adjoints: what a training step of a convolutional Neural ODE adds to the process.

64 images of 28×28 pixels with 6 channels, 16 filters, rk4, float32; each measurement is the peak of
a process of its own, less that of one that only makes the images and the field.

    python benchmarks/memory.py [--steps 1 4 16 64]
"""

import argparse
import multiprocessing
import platform
import resource

import torch

import sknode
from sknode.modules import ConvField, ODEBlock

ADJOINTS = {"discrete": "discrete", "continuous": "continuous", "autograd": None}


def peak(adjoint: str | None, n_steps: int) -> int:
    """Return the peak memory of this process after a training step, in bytes; none for no steps."""
    torch.set_num_threads(1)
    z0 = torch.rand(64, 28, 28, 6)
    field = ConvField(6, 16)
    if n_steps:
        block = ODEBlock(field, solver="rk4", n_steps=n_steps, adjoint=adjoint)
        block(z0).square().mean().backward()
    unit = 1 if platform.system() == "Darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(adjoint: str | None, n_steps: int) -> int:
    """Return what `peak` does in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(peak, (adjoint, n_steps))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 4, 16, 64])
    steps = parser.parse_args().steps
    empty = measured(None, 0)
    print("| MB, by steps of rk4 | " + " | ".join(map(str, steps)) + " |")
    print("|---|" + "---|" * len(steps))
    for name, adjoint in ADJOINTS.items():
        cells = [f"{(measured(adjoint, n) - empty) / 2**20:.0f}" for n in steps]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print(f"\ntorch {torch.__version__}, sknode {sknode.__version__}, {platform.machine()}")


if __name__ == "__main__":
    main()
