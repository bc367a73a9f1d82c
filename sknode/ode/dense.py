"""Fields that are stacks of dense layers, and say so."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

__all__ = ["DenseField", "DenseForm", "dense_form_of", "parameters_of"]


class DenseForm(NamedTuple):
    """A field as a stack of dense layers, which is what its method `dense_form` returns.

    A field may have several members, each with layers of its own: the rows of a state are then
    those of the first member, followed by as many of the second, and so on.

    Parameters
    ----------
    weights : sequence of Tensor
        One of shape (n_out, n_in) a layer, or (n_members, n_out, n_in); with time, the first
        layer's last input is t.
    biases : sequence of Tensor
        One of shape (n_out,) a layer, or (n_members, n_out).
    activation : {"tanh", "silu", "softplus", "relu"}
        Between the layers; the last is linear.
    time_dependent : bool
        Whether t is an input.

    Attributes
    ----------
    parameters : tuple of Tensor
        Each layer's weight and bias, layer by layer.
    n_members : int
        Number of members.
    n_dims : int
        Number of dimensions of the state.
    sizes : tuple of int
        Numbers of inputs of the layers, and of outputs of the last.

    Examples
    --------
    A linear field, which the compiled engine can solve:

    >>> import torch
    >>> from sknode.ode import DenseForm, odeint
    >>> class Rotation(torch.nn.Module):
    ...     def dense_form(self):
    ...         turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    ...         return DenseForm([turn], [torch.zeros(2)], "tanh", time_dependent=False)
    ...     def forward(self, t, z):
    ...         return z @ self.dense_form().weights[0].T
    >>> quarter = torch.tensor([0.0, torch.pi / 2])
    >>> z = odeint(Rotation(), torch.tensor([[1.0, 0.0]]), quarter, tolerance=1e-6).z[-1]
    >>> torch.allclose(z, torch.tensor([[0.0, 1.0]]), atol=1e-5)
    True
    """

    weights: Sequence[Tensor]
    biases: Sequence[Tensor]
    activation: str
    time_dependent: bool

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Each layer's weight and bias, layer by layer."""
        return tuple(chain.from_iterable(zip(self.weights, self.biases, strict=True)))

    @property
    def n_members(self) -> int:
        """Number of members."""
        weight = self.weights[0]
        return weight.shape[0] if weight.ndim == 3 else 1

    @property
    def n_dims(self) -> int:
        """Number of dimensions of the state."""
        return self.biases[-1].shape[-1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of inputs of the layers, and of outputs of the last."""
        # Engines trust the sizes with their memory, so layers that do not fit are refused here.
        return _sizes(tuple(p.shape for p in self.parameters), self.time_dependent)

    def check_states(self, z0: Tensor) -> None:
        """Complain if states do not fit to the layers, which have fitting `sizes`.

        Parameters
        ----------
        z0 : Tensor of shape (rows, n_dims)
            The states.

        Raises
        ------
        ValueError
            If the states have another number of dimensions, or their number is no multiple of
            `n_members`.
        """
        if z0.ndim != 2 or z0.shape[1] != self.n_dims:
            raise ValueError(
                f"z0 must have shape (rows, {self.n_dims}), as the field has {self.n_dims} "
                f"dimensions, got {(*z0.shape,)}"
            )
        if z0.shape[0] % self.n_members:
            raise ValueError(
                f"z0 must have as many rows for each of the field's {self.n_members} members, got "
                f"{z0.shape[0]} rows"
            )


@lru_cache(maxsize=256)
def _sizes(shapes: tuple[torch.Size, ...], time_dependent: bool) -> tuple[int, ...]:
    """Return the sizes of layers, given the shapes of each one's weight and bias."""
    members = shapes[0][:-2]
    sizes = tuple(shape[-1] if len(shape) else 0 for shape in (*shapes[::2], shapes[-1]))
    fitting = [(*members, *shape) for n_in, n in pairwise(sizes) for shape in ((n, n_in), (n,))]
    if (
        list(shapes) != fitting
        or sizes[0] != sizes[-1] + time_dependent
        or len(members) > 1
        or min(*members, *sizes) < 1
    ):
        raise ValueError(
            "dense_form() must give layers that fit together, from the state (and the time) to "
            f"its derivative, got weights and biases of the shapes {[tuple(s) for s in shapes]}"
        )
    return sizes


@runtime_checkable
class DenseField(Protocol):
    """A field that is a stack of dense layers."""

    def dense_form(self) -> DenseForm:
        """Return the layers."""


def dense_form_of(field: nn.Module) -> DenseForm | None:
    """Return the layers of a field that is a stack of them, None for any other."""
    # To ask isinstance() of a protocol would take as long as some evaluations of the field.
    if not hasattr(field, "dense_form"):
        return None
    form = cast(DenseField, field).dense_form()
    if not isinstance(form, DenseForm):
        raise TypeError(f"dense_form() must return a DenseForm, got {type(form).__name__}")
    if not isinstance(form.time_dependent, bool):
        raise TypeError(
            f"dense_form() must give time_dependent as a boolean, got {form.time_dependent!r}"
        )
    if not len(form.weights) == len(form.biases) > 0:
        raise ValueError(
            "dense_form() must give one layer or more, and a bias for each weight, got "
            f"{len(form.weights)} weights and {len(form.biases)} biases"
        )
    return form


def parameters_of(field: nn.Module, form: DenseForm | None) -> tuple[Tensor, ...]:
    """Return θ, the tensors besides the state in which a solve is differentiated.

    Those of a dense field in closed form are the layers themselves. They need not be leaves, and to
    ask for them costs much less than to search the module for parameters.
    """
    if form is None or not hasattr(field, "dynamics"):
        return tuple(field.parameters())
    return form.parameters
