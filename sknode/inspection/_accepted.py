"""The steps that a solver takes: where they begin, and how far they go."""

from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..estimators.solver import BaseSolving
from ..ode import Stats
from ..ode.dense import dense_form_of, parameters_of
from ..ode.eager.stepping import steps
from ..ode.eager.workspace import lease
from ..ode.settings import Method

__all__ = ["Steps", "accepted_steps", "binned_steps"]


class Steps(NamedTuple):
    """The steps that a solver took from t = 0 on, and those that it tried and gave up.

    Attributes
    ----------
    start : ndarray of shape (n_tries, n_rows)
        When a row stood at the start of a step.
    size : ndarray of shape (n_tries, n_rows)
        How far the step went: zero if it was given up, or if the row had arrived before.
    rejected : ndarray of int, shape (n_rows,)
        How many were given up.
    """

    start: np.ndarray
    size: np.ndarray
    rejected: np.ndarray


class BinnedSteps(NamedTuple):
    """The steps of rows in bins of time, as in `StepDisplay`."""

    t: np.ndarray
    step_size: np.ndarray
    n_steps: np.ndarray
    rejected: np.ndarray


@torch.no_grad()
def accepted_steps(field: nn.Module, z0: Tensor, t1: float, method: Method) -> Steps:
    """Find the steps that a solve takes, and those that it tries.

    Parameters
    ----------
    field : nn.Module
        f(t, z), see `sknode.ode.odeint`.
    z0 : Tensor of shape ``(rows, *state)``
        The states at t = 0.
    t1 : float
        Where the solve ends, later than 0.
    method : Method
        How to solve.

    Returns
    -------
    Steps
        The steps.

    Raises
    ------
    SolverError
        As in `sknode.ode.odeint`.
    """
    parameters = parameters_of(field, dense_form_of(field))
    # The native engine, which takes the same steps, does not tell where they are.
    workspace = lease(field, parameters, z0, method.tableau, None).workspace
    workspace.system.enter(z0, 0.0, out=workspace.stack[0])
    stats = Stats(len(z0), method.tableau.n_stages, method.tableau.fsal)
    ends = []
    for step in steps(workspace, [0.0, t1], method, stats, keep_tapes=False):
        stats.add(step.before, step.after, step.proposal)
        ends.append(torch.stack([step.before, step.after]))
    # On a fixed grid one number stands for all rows.
    left = torch.stack(ends, 1).view(2, len(ends), -1).expand(-1, -1, len(z0))
    before, after = left.cpu().numpy().astype(np.float64)
    return Steps(before[0] - before, before - after, stats.rejected.cpu().numpy())


def binned_steps(estimator: BaseSolving, X: Any, member: int, n_bins: int) -> BinnedSteps:
    """Solve rows as the prediction of a fitted estimator does, which stays as it is."""
    # A run sets the network to evaluation, so a copy is run. What was set on the block after the
    # fit, the copy's own block does not have.
    model = deepcopy(estimator)
    network = model.net_.module_
    block = estimator.net_.module_.block
    method = block.settings.method
    t = np.linspace(0, block.t1, n_bins + 1)

    def count(rows: Tensor) -> Tensor:
        of_all = accepted_steps(network.block.field, network.start(rows), block.t1, method)
        counts = np.column_stack([_counts_until(t, of_all), of_all.rejected])
        return torch.from_numpy(counts).view(network.n_members, len(rows), -1)[member]

    *counts, rejected = model._run(count, X).T
    return BinnedSteps(
        t=t,
        step_size=np.diff(t) / np.diff(counts, axis=0).T,
        n_steps=counts[-1].round().astype(np.int64),
        rejected=rejected.astype(np.int64),
    )


def _counts_until(t: np.ndarray, taken: Steps) -> np.ndarray:
    """Return how many steps each row took until each time, parts included, (n_rows, n_times)."""
    counts = np.empty((taken.start.shape[1], len(t)))
    for row, (start, size) in enumerate(zip(taken.start.T, taken.size.T, strict=True)):
        nodes = np.append(start[size != 0], t[-1])
        counts[row] = np.interp(t, nodes, np.arange(len(nodes)))
    return counts
