"""How far a solve errs beyond its tolerance, by the activation of the field.

Fields of two hidden layers of 64 units, with weights as `NODENetwork` draws them but for the last
layer, which is as large as the others; dopri5, float64. The error of a row at t = 1, in the root
mean square over its dimensions, is divided by the tolerance it is held to at each step,
``tol + tol·|z|``; medians over 64 rows of each of 8 fields.

    python benchmarks/kinks.py
"""

import statistics

import torch
from machine import machine

from sknode.modules import MLPField
from sknode.ode import odeint

ACTIVATIONS = ("tanh", "silu", "softplus", "relu")
TOLERANCES = (1e-3, 1e-5, 1e-7, 1e-9)
N_FIELDS = 8
N_ROWS = 64
N_DIMS = 8


def errors(activation: str, seed: int) -> list[float]:
    """Return the median error over the rows of a field, in tolerances, for each of those."""
    generator = torch.Generator().manual_seed(seed)
    field = MLPField(N_DIMS, (64, 64), activation, generator=generator).double()
    z0 = torch.randn(N_ROWS, N_DIMS, dtype=torch.float64, generator=generator)
    with torch.no_grad():
        for layer in field.layers:
            layer.weight.mul_(3**0.5)

        def end(tolerance: float) -> torch.Tensor:
            t = torch.tensor([0.0, 1.0], dtype=torch.float64)
            return odeint(field, z0, t, tolerance=tolerance, max_steps=100_000).z[-1]

        exact = end(1e-12)
        found = []
        for tolerance in TOLERANCES:
            scaled = (end(tolerance) - exact) / (tolerance * (1 + exact.abs()))
            found.append(scaled.square().mean(1).sqrt().median().item())
        return found


def main() -> None:
    """Print the table."""
    print("| error / tolerance at | " + " | ".join(f"{tol:g}" for tol in TOLERANCES) + " |")
    print("|---" * (1 + len(TOLERANCES)) + "|")
    for activation in ACTIVATIONS:
        by_field = zip(*(errors(activation, seed) for seed in range(N_FIELDS)), strict=True)
        cells = [f"{statistics.median(of_all):.2g}" for of_all in by_field]
        print(f"| {activation} | " + " | ".join(cells) + " |")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
