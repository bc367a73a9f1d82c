"""What a solve cost."""

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from math import inf

import torch
from torch import Tensor

__all__ = ["Stats"]


@dataclass(eq=False)
class Stats:
    """What a solve cost.

    Attributes
    ----------
    n_rows : int
        Number of rows.
    n_stages : int
        Number of stages of the method.
    fsal : bool
        Whether the last stage of a step is the first of the next.
    nfe_forward, nfe_backward : int
        Evaluations of the field by the whole batch, a batch counting one. Backward, a pullback
        counts as an evaluation; the number is zero until the backward pass has run, and with
        `adjoint=None`, where autograd does not tell.
    n_steps : int
        Steps of the whole batch, rejected ones included; no row was tried more often.
    accepted : Tensor of shape (rows,), int64
        Steps that each row took.
    rejected : Tensor of shape (rows,), int64
        Steps that each row tried and gave up.
    nfe : Tensor of shape (rows,), int64
        Evaluations of the field that each row took part in, forward.
    first_step : Tensor of shape (), float or None
        The first step size that would have suited every row; None on a fixed grid.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField
    >>> from sknode.ode import odeint
    >>> field = MLPField(2, time_dependent=False)
    >>> stats = odeint(field, torch.ones(3, 2), torch.tensor([0.0, 1.0]), solver="rk4").stats
    >>> stats.accepted, stats.nfe_forward
    (tensor([1, 1, 1]), 4)
    """

    n_rows: int
    n_stages: int
    fsal: bool
    nfe_forward: int = 0
    nfe_backward: int = 0
    n_steps: int = 0
    _counts: Tensor | None = None
    _uncounted: list[tuple[Tensor, Tensor]] = dataclass_field(default_factory=list)
    _first_proposal: Tensor | float | None = None

    def add(self, before: Tensor, after: Tensor, proposal: Tensor | None) -> None:
        """Take note of a step.

        Counting is put off until somebody asks, or many steps have come together: a training
        step that nobody looks at does not pay for it.

        Parameters
        ----------
        before, after : Tensor of shape (rows,) or ()
            The time left to go at the two ends of the step: the same where it was rejected, zero
            where it is finished.
        proposal : Tensor of shape (rows,), or None on a fixed grid
            The step sizes that would come next, were there time left.
        """
        if self.n_steps == 0:
            self._first_proposal = proposal
        self.n_steps += 1
        self._uncounted.append((before, after))
        if len(self._uncounted) == 64:
            self._count()

    def _count(self) -> Tensor:
        if self._uncounted:
            before, after = (torch.stack(ends) for ends in zip(*self._uncounted, strict=True))
            self._uncounted.clear()
            tried = (before != 0).sum(0)
            accepted = (before != after).sum(0)
            counts = torch.stack((accepted, tried - accepted))
            self._counts = counts if self._counts is None else self._counts + counts
        assert self._counts is not None
        return self._counts.reshape(2, -1).expand(2, self.n_rows)

    @property
    def accepted(self) -> Tensor:
        """Steps that each row took."""
        return self._count()[0]

    @property
    def rejected(self) -> Tensor:
        """Steps that each row tried and gave up."""
        return self._count()[1]

    @property
    def nfe(self) -> Tensor:
        """Evaluations of the field that each row took part in, forward."""
        stages = self.n_stages - 1 if self.fsal else self.n_stages
        # Two evaluations may be outside of the steps: the first stage, and the one that helps to
        # choose the first step.
        outside = self.nfe_forward - stages * self.n_steps
        return stages * self._count().sum(0) + outside

    @property
    def first_step(self) -> Tensor | float | None:
        """The first step size that would have suited every row; None on a fixed grid."""
        proposal = self._first_proposal
        return (
            torch.linalg.vector_norm(proposal, -inf) if isinstance(proposal, Tensor) else proposal
        )
