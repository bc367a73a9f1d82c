"""What is shown while a network is trained."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from skorch import NeuralNet
from skorch.callbacks import Callback, PrintLog

__all__ = ["shown"]

REFRESHES_PER_SECOND = 10


class ProgressLine(Callback):
    """One line that is kept up to date; where the output is no terminal, ten lines in all.

    A context: a line that is not let go of would keep the terminal's cursor.

    Parameters
    ----------
    max_epochs : int
        The number of epochs to come.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs
        self.console = Console()
        self.line = Progress(
            TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=self.console,
            auto_refresh=False,
            disable=not self.console.is_terminal,
        )
        self.task = self.line.add_task("", total=max_epochs)
        self._next = 0.0

    def __enter__(self) -> Self:
        self.line.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.line.refresh()
        self.line.stop()

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count the batches to come."""
        self._n_batches = len(net.get_iterator(dataset_train))

    def on_batch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Show the part of the epoch that is done, a few times a second."""
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + 1 / REFRESHES_PER_SECOND
            part = len(net.history[-1]["batches"]) / self._n_batches
            self.line.update(self.task, completed=len(net.history) - 1 + part, refresh=True)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Show what the epoch came to."""
        epoch = net.history[-1]
        n_done = len(net.history)
        n_rows = sum(batch["train_batch_size"] for batch in epoch["batches"])
        parts = [f"loss {epoch['train_loss']:.4g}"]
        if "valid_score" in epoch:
            parts.append(f"validation score {epoch['valid_score']:.4g}")
        parts += [
            f"nfe {epoch['nfe_forward']:.4g} + {epoch['nfe_backward']:.4g}",
            f"{n_rows / epoch['dur']:,.0f} rows/s",
        ]
        text = ", ".join(parts)
        self.line.update(self.task, completed=n_done, description=text)
        if (
            self.line.disable
            and 10 * n_done // self.max_epochs > 10 * (n_done - 1) // self.max_epochs
        ):
            left = (self.max_epochs - n_done) * epoch["dur"]
            line = f"epoch {n_done}/{self.max_epochs}: {text}, {left:.0f} s left"
            self.console.print(line, soft_wrap=True, highlight=False)


@contextmanager
def shown(verbose: int, max_epochs: int) -> Iterator[list[tuple[str, Callback]]]:
    """Give the callbacks that show a training, and clean up behind them."""
    if verbose == 1:
        with ProgressLine(max_epochs) as line:
            yield [("progress", line)]
    elif verbose > 1:
        yield [("table", PrintLog(keys_ignored=["retries"]))]
    else:
        yield []
