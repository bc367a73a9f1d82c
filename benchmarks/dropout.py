"""Dropout: a mask for each batch, as sknode has it, against one for each row.

What is changed is `draw_masks` of the field alone, which then runs as any module does, in torch and
with autograd within a step; the seconds are therefore not compared. Rows and validation are those
of `defaults.py`.

    python benchmarks/dropout.py --data FOLDER [--out dropout.jsonl] [--tables NAME ...]
        [--seeds 0] [--max-rows 2500]
"""

import argparse
import itertools
import os
import warnings
from functools import partial
from pathlib import Path
from unittest import mock

os.environ["OMP_NUM_THREADS"] = "1"  # numpy and torch read it when they are imported

import numpy as np
import pandas as pd
import torch
from defaults import training_part
from tables import list_tables
from tabular import Job, node, print_table, run
from torch import Tensor, nn

from sknode.inspection import solver_consistency
from sknode.modules import MLPField
from sknode.modules.activations import ACTIVATIONS
from sknode.tables import make_table_pipeline

DROPOUT = {"no dropout": 0.0, "for a batch": 0.1, "for a row": 0.1}


class RowMasks(nn.Module):
    """The perceptron of `MLPField`, with a mask of its own for each row, fixed over a solve."""

    def __init__(self, *sizes, **options) -> None:
        super().__init__()
        self.field = MLPField(*sizes, **options)
        self.layers = self.field.layers
        self.masks: list[Tensor] = []

    def draw_masks(self, generator: torch.Generator | None = None) -> None:
        """Let masks be drawn when the number of rows is known."""
        self.generator = generator
        self.masks = []

    def mask(self, i: int, z: Tensor) -> Tensor:
        """Return the mask of the i-th hidden layer, drawn at the first evaluation of a solve."""
        if i == len(self.masks):
            kept = 1 - self.field.dropout
            # The mask is drawn on the CPU, where the generator is.
            drawn = torch.empty(z.shape, dtype=z.dtype).bernoulli_(kept, generator=self.generator)
            self.masks.append(drawn.div_(kept).to(z.device))
        return self.masks[i]

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Return f(t, z)."""
        function = ACTIVATIONS[self.field.activation].function
        z = torch.cat((z, t.expand(*z.shape[:-1], 1)), dim=-1)
        *hidden, last = self.layers
        for i, layer in enumerate(hidden):
            z = function(layer(z))
            if self.training:
                z = z * self.mask(i, z)
        return last(z)


def measure(job: Job, index: pd.DataFrame, folder: Path, max_rows: int) -> dict:
    """Fit with one kind of dropout, and judge by the rows held back."""
    task = index.loc[job.table, "task"]
    X, X_valid, y, y_valid = training_part(index.loc[job.table], folder, job.seed, max_rows)
    estimator = node(task, job.seed).set_params(dropout=DROPOUT[job.model])
    field = RowMasks if job.model == "for a row" else MLPField
    with mock.patch("sknode.modules.fields.MLPField", field):
        model = make_table_pipeline(estimator).fit(X, y)
        return {"error": solver_consistency(model, X_valid, y_valid).error}


def report(found: list[dict]) -> None:
    """Print the errors over those of a mask for a batch, and their geometric mean."""
    results = pd.DataFrame(found).astype({"error": float})
    errors = results.pivot(index=["table", "seed"], columns="model", values="error")
    logs = np.log(errors.div(errors["for a batch"], axis=0)).groupby("table").mean()
    logs.loc["geometric mean"] = logs.mean()
    rows = [
        [name, *(f"{np.exp(row[model]):.3f}" for model in DROPOUT)] for name, row in logs.iterrows()
    ]
    print_table(("error / that of a mask for a batch", *DROPOUT), rows)


def main() -> None:
    """Run what is left to run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder with INDEX.csv")
    parser.add_argument("--out", type=Path, default="dropout.jsonl")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="all when not given")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-rows", type=int, default=2500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    index = list_tables(options.data)
    order = itertools.product(options.seeds, options.tables or index.index, DROPOUT)
    jobs = [Job(table, kind, seed) for seed, table, kind in order]
    work = partial(measure, index=index, folder=options.data, max_rows=options.max_rows)
    report(run(jobs, work, options.out))


if __name__ == "__main__":
    main()
