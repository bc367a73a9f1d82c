"""From a row to z(0): the row itself, a linear map of it, or one of periodic functions of it."""

from collections.abc import Callable, Sequence
from math import pi

import torch
from torch import Tensor, nn

from .linear import linear

__all__ = ["LIFTS", "PeriodicLift"]

N_FREQUENCIES = 16
# Each feature has so many combinations of its waves: more freedom makes for worse predictions.
N_COMBINATIONS = 3


class PeriodicLift(nn.Module):
    """A linear map of a row together with three periodic functions of each feature.

    These are linear combinations of 16 waves cos(2πfx + φ). They let a network bend where it bends
    for this feature alone [1]_.

    Parameters
    ----------
    n_features, n_dims : int
        Sizes of a row and of its image.
    features : sequence of int or None, default=None
        Those of which there are periodic functions; None: all.
    n_members : int, default=1
        Number of members, each with a lift of its own.
    frequency : float, default=0.1
        Standard deviation of the initial frequencies, in periods per unit of a feature.
    generator : torch.Generator or None, default=None
        Draws the initial numbers; None: torch's global one.

    Attributes
    ----------
    frequencies, phases : nn.Parameter of shape ([n_members,] n_periodic, 16)
        f, normally distributed at first, and φ, uniformly in (−π, π).
    combinations : nn.Parameter of shape ([n_members,] n_periodic, 16, 3)
        The coefficients.
    linear : nn.Linear or MemberLinear
        The linear map.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep
       Learning", NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules.lifts import PeriodicLift
    >>> PeriodicLift(3, 8)(torch.ones(5, 3)).shape
    torch.Size([5, 8])
    """

    features: Tensor

    def __init__(
        self,
        n_features: int,
        n_dims: int,
        features: Sequence[int] | None = None,
        n_members: int = 1,
        frequency: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        chosen = range(n_features) if features is None else features
        index = torch.tensor([*chosen], dtype=torch.int64)
        self.register_buffer("features", index, persistent=False)
        members = (n_members,) if n_members > 1 else ()
        shape = (*members, len(chosen), N_FREQUENCIES)
        frequencies = torch.empty(shape).normal_(0, frequency, generator=generator)
        self.frequencies = nn.Parameter(frequencies)
        self.phases = nn.Parameter(torch.empty(shape).uniform_(-pi, pi, generator=generator))
        bound = N_FREQUENCIES**-0.5
        combinations = torch.empty((*shape, N_COMBINATIONS))
        self.combinations = nn.Parameter(combinations.uniform_(-bound, bound, generator=generator))
        n_inputs = n_features + len(chosen) * N_COMBINATIONS
        self.linear = linear(n_inputs, n_dims, generator, n_members)

    def forward(self, x: Tensor) -> Tensor:
        """Return the images (n_members · rows, n_dims) of x, ([n_members,] rows, n_features)."""
        chosen = x if len(self.features) == x.shape[-1] else x[..., self.features]
        frequencies = self.frequencies.unsqueeze(-2)
        phases = self.phases.unsqueeze(-2)
        angles = torch.addcmul(phases, chosen.mT.unsqueeze(-1), frequencies, value=2 * pi)
        functions = (angles.cos() @ self.combinations).transpose(-3, -2).flatten(-2)
        return self.linear(torch.cat((x, functions), -1))

    def periodic_parameters(self) -> tuple[nn.Parameter, nn.Parameter]:
        """Return the frequencies and phases, a small change of which changes all functions."""
        return self.frequencies, self.phases


def _identity(n_features: int, n_dims: int, **_: object) -> nn.Module:
    return nn.Identity()


def _linear(
    n_features: int,
    n_dims: int,
    features: Sequence[int] | None,
    n_members: int,
    generator: torch.Generator | None,
    **_: object,
) -> nn.Module:
    return linear(n_features, n_dims, generator, n_members)


LIFTS: dict[str, Callable[..., nn.Module]] = {
    "identity": _identity,
    "linear": _linear,
    "periodic": PeriodicLift,
}
