"""Linear layers, of one network or of several at once."""

import torch
from torch import Tensor, nn

__all__ = ["Linear", "MemberLinear", "draw", "linear", "make_small"]

# So many rows have their share of a weight's gradient computed as one product. How a BLAS adds up
# more than some hundred rows depends on the number of its threads.
BLOCK = 64


class Linear(nn.Linear):
    """A linear layer that learns the same on any number of threads."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (rows, n_out) of inputs (rows, n_in)."""
        if not self.training or len(x) <= BLOCK:
            return super().forward(x)
        blocks = nn.functional.pad(x, (0, 0, 0, -len(x) % BLOCK)).view(-1, BLOCK, x.shape[1])
        weights = self.weight.mT.expand(len(blocks), -1, -1)
        return torch.baddbmm(self.bias, blocks, weights).flatten(0, 1)[: len(x)]


class MemberLinear(nn.Module):
    """The linear layers of several members, each with a weight and a bias of its own.

    Parameters
    ----------
    n_members, n_in, n_out : int
        Sizes.

    Attributes
    ----------
    weight, bias : nn.Parameter of shape (n_members, n_out, n_in) and (n_members, n_out)
        Not initialised; see `linear`.
    """

    def __init__(self, n_members: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_members, n_out, n_in))
        self.bias = nn.Parameter(torch.empty(n_members, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n_members · rows, n_out) of inputs, (n_members · rows, n_in).

        The inputs may also be given as (n_members, rows, n_in).
        """
        return dense(x, self.weight, self.bias)


def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply a linear layer, or one for each member's share of the rows."""
    if weight.ndim == 2:
        return nn.functional.linear(x, weight, bias)
    by_member = x.view(len(weight), -1, x.shape[-1])
    return torch.baddbmm(bias.unsqueeze(1), by_member, weight.mT).flatten(0, 1)


def linear(
    n_in: int, n_out: int, generator: torch.Generator | None, n_members: int = 1
) -> Linear | MemberLinear:
    """Return a layer whose numbers are drawn as those of `nn.Linear` are, by a given generator."""
    layer: Linear | MemberLinear
    if n_members > 1:
        layer = MemberLinear(n_members, n_in, n_out)
    else:
        # The layer's constructor is passed by, as it would draw from torch's global generator.
        layer = Linear.__new__(Linear)
        nn.Module.__init__(layer)
        layer.in_features = n_in
        layer.out_features = n_out
        layer.weight = nn.Parameter(torch.empty(n_out, n_in))
        layer.bias = nn.Parameter(torch.empty(n_out))
    draw(layer, n_in, generator)
    return layer


def draw(layer: nn.Module, fan_in: int, generator: torch.Generator | None) -> None:
    """Draw the weight and bias of a layer as torch does, by a given generator."""
    bound = fan_in**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)


def make_small(layer: nn.Module) -> None:
    """Let the last layer of a field hardly move anything yet: a slow flow needs few steps."""
    weight, bias = layer.parameters()
    with torch.no_grad():
        weight.mul_(0.01)
        bias.zero_()
