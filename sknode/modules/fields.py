"""Fields that know their own derivative."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from .._checks import check_choice, check_flag, is_integer, is_number
from ..ode.dense import DenseForm
from ..ode.field import Dynamics
from .activations import ACTIVATIONS
from .dense import DenseDynamics
from .linear import dense, linear, make_small

__all__ = ["FIELDS", "MLPField", "MaskedField"]


@runtime_checkable
class MaskedField(Protocol):
    """A field of which training leaves out some units."""

    def draw_masks(self, generator: torch.Generator | None = None) -> None:
        """Choose the units that are left out until masks are drawn anew."""


class MLPField(nn.Module):
    """A multilayer perceptron f(t, z), with its pullback in closed form.

    Parameters
    ----------
    n_dims : int
        Number of dimensions of the state.
    hidden_layer_sizes : sequence of int, default=(64, 64)
        Widths of the hidden layers; empty for a linear field.
    activation : {"tanh", "silu", "softplus", "relu"}, default="tanh"
        Between the layers; the last is linear. At the kink of relu adaptive solvers err by more
        than their tolerance.
    time_dependent : bool, default=True
        Whether t is an input beside z.
    n_members : int, default=1
        Number of perceptrons of these sizes; each moves an equal share of the rows, the first
        member the first rows.
    dropout : float, default=0.0
        In training, `draw_masks` leaves out this part of the hidden units.
    generator : torch.Generator or None, default=None
        Draws the initial weights; None: torch's global one.

    Attributes
    ----------
    layers : nn.ModuleList of nn.Linear or MemberLinear
        The layers; the first takes (z, t).

    Raises
    ------
    ValueError
        If a size is not a positive integer, the activation is not known, `time_dependent` is no
        boolean or `dropout` is not in [0, 1).

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import MLPField
    >>> field = MLPField(3, hidden_layer_sizes=(16,))
    >>> field(torch.zeros(5, 1), torch.ones(5, 3)).shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        n_dims: int,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        activation: str = "tanh",
        time_dependent: bool = True,
        n_members: int = 1,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden_layer_sizes if isinstance(hidden_layer_sizes, Iterable) else [None]
        sizes: list[Any] = [n_dims, *hidden, n_dims]
        if not all(is_integer(size, 1) for size in (*sizes, n_members)):
            raise ValueError(
                "n_dims, hidden_layer_sizes and n_members must be positive integers, "
                f"got {n_dims!r}, {hidden_layer_sizes!r} and {n_members!r}"
            )
        check_choice("activation", activation, ACTIVATIONS)
        check_flag("time_dependent", time_dependent)
        if not is_number(dropout) or not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, got {dropout!r}")
        self.activation = activation
        self.time_dependent = time_dependent
        self.dropout = dropout
        sizes_in = [n_dims + time_dependent, *sizes[1:-1]]
        self.layers = nn.ModuleList(
            linear(n_in, n_out, generator, n_members)
            for n_in, n_out in zip(sizes_in, sizes[1:], strict=True)
        )
        self._masks: Sequence[Tensor] = ()

    def draw_masks(self, generator: torch.Generator | None = None) -> None:
        """Choose the hidden units that are left out in training until masks are drawn anew.

        A unit is left out for all rows of its member and for all times, so that what is solved is
        an ODE, the same for every row.

        Parameters
        ----------
        generator : torch.Generator or None, default=None
            Of the CPU; None: torch's global one.
        """
        if not self.dropout or len(self.layers) == 1:
            return
        biases = [layer.bias for layer in self._layers[:-1]]
        widths = [bias.shape[-1] for bias in biases]
        kept = 1 - self.dropout
        masks = torch.empty((*biases[0].shape[:-1], 1, sum(widths)), dtype=biases[0].dtype)
        masks.bernoulli_(kept, generator=generator).div_(kept)
        self._masks = masks.to(biases[0].device).split(widths, -1)

    @property
    def _layers(self) -> list[nn.Linear]:
        return cast(list[nn.Linear], list(self.layers))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Evaluate f(t, z).

        Parameters
        ----------
        t : Tensor of shape () or (rows, 1)
            The time, one for all rows or one for each.
        z : Tensor of shape (rows, n_dims)
            The states.

        Returns
        -------
        Tensor of shape (rows, n_dims)
            The derivatives dz/dt.
        """
        if self.time_dependent:
            z = torch.cat((z, t.expand(*z.shape[:-1], 1)), dim=-1)
        function = ACTIVATIONS[self.activation].function
        form = self.dense_form()
        *hidden, last = zip(form.weights, form.biases, strict=True)
        for layer in hidden:
            z = function(dense(z, *layer))
        return dense(z, *last)

    def dense_form(self) -> DenseForm:
        """Return the layers, by which other engines can evaluate the field.

        A unit that is left out has no say in the next layer, whose weights for it are zero; those
        for the others are larger in return.

        Returns
        -------
        DenseForm
            Weights and biases, the name of the activation, and whether t is an input.
        """
        layers = self._layers
        weights = [layer.weight for layer in layers]
        if self.training and self._masks:
            weights[1:] = [w * mask for w, mask in zip(weights[1:], self._masks, strict=True)]
        biases = [layer.bias for layer in layers]
        return DenseForm(weights, biases, self.activation, self.time_dependent)

    def dynamics(self, z0: Tensor) -> Dynamics:
        """Bind the field to solves whose states are like some.

        Parameters
        ----------
        z0 : Tensor of shape (rows, n_dims)
            States; what counts is their shape, dtype and device.

        Returns
        -------
        Dynamics
            The field and its pullback, in the form in which solvers ask for them.

        Raises
        ------
        ValueError
            If the states have another number of dimensions than the field, or their rows cannot be
            shared equally among its members.
        """
        form = self.dense_form()
        form.check_states(z0)
        return DenseDynamics(form, z0)


def _mlp(*arguments: Any, **settings: Any) -> nn.Module:
    field = MLPField(*arguments, **settings)
    _initialise(field)
    return field


def _initialise(field: MLPField) -> None:
    """Make signals keep their size within a perceptron, and the field hardly move anything yet.

    Gradients pass it unspoilt.
    """
    *hidden, last = cast(list[nn.Linear], list(field.layers))
    with torch.no_grad():
        for layer in hidden:
            # Uniform numbers in ±1/√n have a third of the variance that this takes.
            layer.weight.mul_(3**0.5)
    make_small(last)


# What a network may have for its field: each is called as `MLPField` is, and hardly moves yet.
FIELDS: dict[str, Callable[..., nn.Module]] = {"mlp": _mlp}
