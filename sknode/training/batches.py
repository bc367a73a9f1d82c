"""Batches of a training set, in an order that a generator gives."""

from collections.abc import Iterator

import torch
from torch import Tensor

from .data import TrainingSet

__all__ = ["Batches"]


class Batches:
    """Batches of nearly equal size, in a new order at every pass where there are several."""

    def __init__(self, data: TrainingSet, batch_size: int, generator: torch.Generator) -> None:
        self.data = data
        self.generator = generator
        self.n_batches = -(-len(data) // batch_size)

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor | None]]]:
        if self.n_batches == 1:
            yield self.data.take(slice(None))
            return
        order = torch.randperm(len(self.data), generator=self.generator)
        for index in order.to(self.data.rows.device).tensor_split(self.n_batches):
            yield self.data.take(index)
