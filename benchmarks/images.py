"""Convolutional Neural ODEs on MNIST: a training step against torchdiffeq, and what is learned.

The first part times one training step (solve, cross-entropy, backward pass, Adam) on 256 images of
28×28 pixels, with 16 filters and 5 further channels, on one thread, the contenders taking turns.
torchdiffeq solves the field as it was published with Dupont et al. (2019): three convolutions with
the channels first and time as a channel of ones.

    python benchmarks/images.py step [--repetitions 5]

The second trains on the first images of MNIST and reports the accuracy on its whole test set.

    python benchmarks/images.py mnist --data mnist.npz [--rows 10000] [--models NAME ...]
        [--device cpu] [--threads 2]
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torchdiffeq
from torch import nn

import sknode
from sknode import NODEImageClassifier, ResNetImageClassifier
from sknode.datasets import load_mnist
from sknode.modules import ConvField, ODEBlock

N_IMAGES = 256
N_FILTERS = 16
N_CHANNELS = 6
N_CLASSES = 10
TOLERANCE = 1e-3
SOLVES: dict[str, dict] = {
    "rk4, 3 steps": {"solver": "rk4", "n_steps": 3},
    "dopri5, 1e-3": {"solver": "dopri5", "tolerance": TOLERANCE},
}
MODELS: dict[str, dict] = {
    "NODE, 92 filters, dopri5": {"n_filters": 92, "augment_dim": 0, "solver": "dopri5"},
    "ANODE, 64 filters, dopri5": {"n_filters": 64, "augment_dim": 5, "solver": "dopri5"},
    "default": {},
    "default, halved once": {"n_downsamplings": 1},
    "default, halved once, 32 filters": {"n_downsamplings": 1, "n_filters": 32},
    # The table of the lectures has these: depth as blocks, or as time.
    "ResNet(6)": {"n_downsamplings": 2, "n_blocks": 6},
    "ResNet(1)": {"n_downsamplings": 2, "n_blocks": 1},
    "NODE, dopri5": {"n_downsamplings": 2, "solver": "dopri5"},
    "NODE, one step of rk4": {"n_downsamplings": 2},
}


class PublishedField(nn.Module):
    """The convolutional field of Dupont et al., evaluations counted."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(N_CHANNELS + 1, N_FILTERS, 1)
        self.middle = nn.Conv2d(N_FILTERS + 1, N_FILTERS, 3, padding=1)
        self.last = nn.Conv2d(N_FILTERS + 1, N_CHANNELS, 1)
        self.nfe = 0

    def forward(self, t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        self.nfe += 1
        z = torch.relu(self.first(_with_time(t, z)))
        return self.last(_with_time(t, torch.relu(self.middle(_with_time(t, z)))))


def _with_time(t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return torch.cat((torch.ones_like(z[:, :1]) * t, z), 1)


def contenders(settings: dict) -> dict[str, Callable[[], int]]:
    """Return training steps that start from the same weights and return their evaluations."""
    torch.manual_seed(0)
    images = torch.rand(N_IMAGES, 1, 28, 28)
    labels = torch.randint(N_CLASSES, (N_IMAGES,))
    z0 = nn.functional.pad(images, (0, 0, 0, 0, 0, N_CHANNELS - 1))
    published = PublishedField()
    own = ConvField(N_CHANNELS, N_FILTERS)
    with torch.no_grad():
        # Here the time is the last channel, there the first.
        theirs = (published.first, published.middle, published.last)
        for layer, of_them in zip(own.layers, theirs, strict=True):
            layer.weight.copy_(of_them.weight.roll(-1, 1))
            layer.bias.copy_(of_them.bias)
    block = ODEBlock(own, **settings)

    def solve_own() -> tuple[torch.Tensor, int]:
        z = block(z0.movedim(1, -1).contiguous()).movedim(-1, 1)
        assert block.stats is not None
        return z, block.stats.nfe_forward

    def solve_theirs(solve: Callable) -> tuple[torch.Tensor, int]:
        published.nfe = 0
        if "n_steps" in settings:
            options = {"method": "rk4", "options": {"step_size": 1 / settings["n_steps"]}}
        else:
            options = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE}
        z = solve(published, z0, torch.tensor([0.0, 1.0]), **options)[-1]
        return z, published.nfe

    def step(solve: Callable[[], tuple[torch.Tensor, int]], field: nn.Module) -> Callable[[], int]:
        head = nn.Linear(z0[0].numel(), N_CLASSES)
        optimizer = torch.optim.Adam([*field.parameters(), *head.parameters()], lr=1e-4, fused=True)

        def run() -> int:
            optimizer.zero_grad()
            z, nfe = solve()
            nn.functional.cross_entropy(head(z.flatten(1)), labels).backward()
            optimizer.step()
            return nfe

        return run

    return {
        "sknode": step(solve_own, own),
        "torchdiffeq odeint": step(lambda: solve_theirs(torchdiffeq.odeint), published),
        "torchdiffeq odeint_adjoint": step(
            lambda: solve_theirs(torchdiffeq.odeint_adjoint), published
        ),
    }


def time_steps(repetitions: int) -> None:
    """Print what a training step takes."""
    torch.set_num_threads(1)
    print("| training step | solver | seconds | evaluations forward | ms an evaluation |")
    print("|---|---|---|---|---|")
    for name, settings in SOLVES.items():
        steps = contenders(settings)
        seconds: dict[str, list[float]] = {who: [] for who in steps}
        counts: dict[str, int] = {}
        for repetition in range(-1, repetitions):
            for who, step in steps.items():
                start = time.perf_counter()
                counts[who] = step()
                if repetition >= 0:
                    seconds[who].append(time.perf_counter() - start)
        for who, values in seconds.items():
            median = statistics.median(values)
            each = 1e3 * median / counts[who]
            print(f"| {who} | {name} | {median:.3f} | {counts[who]} | {each:.1f} |")


def learn_mnist(options: argparse.Namespace) -> None:
    """Print what is learned of MNIST."""
    torch.set_num_threads(options.threads)
    data = load_mnist(options.data)
    X = data.X_train[: options.rows]
    y = data.y_train[: options.rows]
    print(f"| MNIST, {len(X)} images | parameters | test accuracy | epochs | s | CPU s | nfe |")
    print("|---|---|---|---|---|---|---|")
    for name in options.models:
        settings = MODELS[name]
        kind = ResNetImageClassifier if "n_blocks" in settings else NODEImageClassifier
        model = kind(**settings, device=options.device, random_state=0)
        start = time.perf_counter()
        start_busy = time.process_time()
        model.fit(X, y)
        seconds = time.perf_counter() - start
        busy = time.process_time() - start_busy
        accuracy = model.score(data.X_test, data.y_test)
        nfe = model.history_[-1]["nfe_forward"]
        print(
            f"| {name} | {model.n_parameters_} | {accuracy:.4f} | {model.n_iter_} | {seconds:.0f} "
            f"| {busy:.0f} | {nfe:.1f} |"
        )


def main() -> None:
    """Run one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    parts.add_parser("step").add_argument("--repetitions", type=int, default=5)
    mnist = parts.add_parser("mnist")
    mnist.add_argument("--data", required=True, help="a folder or an .npz file")
    mnist.add_argument("--rows", type=int, default=10_000)
    mnist.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    mnist.add_argument("--device", default="cpu")
    mnist.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.part == "step":
        time_steps(options.repetitions)
    else:
        learn_mnist(options)
    print(
        f"\nPython {platform.python_version()}, torch {torch.__version__}, torchdiffeq "
        f"{torchdiffeq.__version__}, sknode {sknode.__version__}, {platform.machine()}"
    )


if __name__ == "__main__":
    main()
