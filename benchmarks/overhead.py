"""What an estimator's training costs beyond a bare loop over the same network: an epoch of digits.

The bare loop draws the same batches from resident tensors and does nothing but forward pass, loss,
backward pass and optimizer. Both take turns, an epoch each; medians.

    python benchmarks/overhead.py
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import sklearn
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import Callback
from torch.nn.functional import cross_entropy

import sknode
from sknode import NODEClassifier, preset
from sknode.modules import NODENetwork
from sknode.training.scaling import standard_scaling
from sknode.training.schedule import SCHEDULES

BATCH_SIZE = 128
RATE = 1e-2


class Turns(Callback):
    """Notes how long an epoch took, and lets the other side have its turn before the next."""

    def __init__(self, others: Iterator, own_times: list[float], other_times: list[float]) -> None:
        self.others = others
        self.own_times = own_times
        self.other_times = other_times

    def __deepcopy__(self, memo: dict) -> "Turns":
        return self

    def on_train_begin(self, net, **kwargs) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_epoch_end(self, net, **kwargs) -> None:
        """Stop it, and see that both have learned the same."""
        self.own_times.append(time.perf_counter() - self.start)
        seconds, loss = next(self.others)
        assert loss == net.history[-1]["batches"][-1]["train_loss"]
        self.other_times.append(seconds)
        self.start = time.perf_counter()


def bare_epochs(
    X: np.ndarray, y: np.ndarray, schedule: str, n_epochs: int
) -> Iterator[tuple[float, float]]:
    """Train as the estimator does, to the same bits, and yield the seconds of every epoch."""
    mean, scale, _ = standard_scaling(X, None, "X")
    rows = torch.from_numpy((X - mean) / scale)
    target = torch.from_numpy(y)
    network = NODENetwork(
        X.shape[1], len(np.unique(y)), hidden_layer_sizes=[32], solver="dopri5", tolerance=1e-3,
        generator=torch.Generator().manual_seed(0),
    ).double()  # fmt: skip
    named = dict(network.named_parameters())
    biases = [named.pop(name) for name in list(named) if name.endswith("bias")]
    groups = [{"params": biases, "weight_decay": 0.0}, {"params": list(named.values())}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=1e-2, fused=True)
    generator = torch.Generator().manual_seed(0)
    n_batches = -(-len(rows) // BATCH_SIZE)
    for epoch in range(n_epochs):
        start = time.perf_counter()
        order = torch.randperm(len(rows), generator=generator)
        for i, index in enumerate(order.tensor_split(n_batches)):
            factor = SCHEDULES[schedule]((epoch + i / n_batches) / n_epochs)
            for group in optimizer.param_groups:
                group["lr"] = RATE * factor
            optimizer.zero_grad()
            outputs = network(rows.index_select(0, index))
            loss = cross_entropy(outputs, target.index_select(0, index), reduction="none").mean()
            loss.backward()
            optimizer.step()
        yield time.perf_counter() - start, loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    settings = {**preset("classical"), "dtype": "float64", "label_smoothing": 0.0}
    settings |= {"max_epochs": arguments.epochs, "batch_size": BATCH_SIZE, "early_stopping": False}
    versions = f"torch {torch.__version__}, scikit-learn {sklearn.__version__}"
    print(f"{versions}, sknode {sknode.__version__}, one thread, {len(X)} rows")
    for schedule in SCHEDULES:
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(arguments.repetitions):
            epochs = bare_epochs(X, y, schedule, arguments.epochs)
            turns = Turns(epochs, ours, bare)
            settings["schedule"] = schedule
            NODEClassifier(random_state=0, callbacks=[turns], **settings).fit(X, y)
        ours_ms = 1e3 * np.median(ours)
        bare_ms = 1e3 * np.median(bare)
        print(
            f"{schedule}: {ours_ms:.2f} ms an epoch, of which the bare loop takes {bare_ms:.2f} ms "
            f"and the rest {1 - bare_ms / ours_ms:.1%}"
        )


if __name__ == "__main__":
    main()
