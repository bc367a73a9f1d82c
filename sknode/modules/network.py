"""The whole network: lift, augmentation, a block that moves the state, head."""

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from .._checks import check_choice
from ..ode.settings import SolverSettings, describing_settings, with_settings
from .block import Block
from .fields import FIELDS, MaskedField
from .heads import HEADS
from .lifts import LIFTS
from .residual import make_block

__all__ = ["NODENetwork"]


@describing_settings
class NODENetwork(nn.Module):
    """The map from a row to the outputs, through a Neural ODE [1]_, or through several.

    In place of the ODE there may be its discrete counterpart, blocks z ← z + f_k(z).

    Parameters
    ----------
    n_features, n_outputs : int
        Sizes of a row and of its output.
    lift : {"identity", "linear", "periodic"}, default="identity"
        How a row becomes z(0): as it is, or by a learned map to `lift_dim` dimensions, linear in
        the row, or in the row and periodic functions of its features (`PeriodicLift`).
    lift_dim : int, default=32
        Number of dimensions of a learned lift.
    lift_frequency : float, default=0.1
        How fast the periodic functions are at first, see `PeriodicLift`.
    periodic_features : sequence of int or None, default=None
        The features of which there are periodic functions; None: all.
    augment_dim : int, default=0
        Number of zeros appended to z(0) after the lift [2]_.
    field : {"mlp"}, default="mlp"
        What moves the state: a multilayer perceptron.
    hidden_layer_sizes : sequence of int, default=(32,)
        Widths of the hidden layers of the field; empty for a linear field.
    activation : {"tanh", "silu", "softplus", "relu"}, default="tanh"
        Between the layers of the field; the last is linear.
    time_dependent : bool, default=True
        Whether t is an input of the field beside z.
    dropout : float, default=0.0
        The part of the field's hidden units that is left out in training.
    n_members : int, default=1
        Number of networks, independently initialised, that are run side by side.
    head : {"linear", "identity"}, default="linear"
        How the outputs are read off z(1): by a learned linear map, or as its first dimensions.
    n_blocks : int or None, default=None
        Number of residual blocks, each with a field of its own, in place of the ODE. Their fields
        do not depend on time, and there is no solver.
    {settings}
    generator : torch.Generator or None, default=None
        Draws the initial weights; None: torch's global one.

    Attributes
    ----------
    lift : nn.Module
        The map from the row to z(0) before augmentation.
    block : ODEBlock or ResidualBlocks
        The way from z(0) to z(1).
    head : nn.Module
        The map from z(1) to the outputs.

    Raises
    ------
    ValueError
        If the lift, the field, the head or a setting of the field or the solver is not allowed.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import NODENetwork
    >>> network = NODENetwork(4, 3, augment_dim=2)
    >>> network(torch.ones(5, 4)).shape, network.block.field.layers[0].in_features
    (torch.Size([5, 3]), 7)
    """

    # This bounds the memory that work on many rows takes. Rows do not depend on each other, so no
    # result depends on it.
    rows_at_a_time = 2048

    @with_settings(before="generator")
    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        lift: str = "identity",
        lift_dim: int = 32,
        lift_frequency: float = 0.1,
        periodic_features: Sequence[int] | None = None,
        augment_dim: int = 0,
        field: str = "mlp",
        hidden_layer_sizes: Sequence[int] = (32,),
        activation: str = "tanh",
        time_dependent: bool = True,
        dropout: float = 0.0,
        n_members: int = 1,
        head: str = "linear",
        n_blocks: int | None = None,
        generator: torch.Generator | None = None,
        **settings: Unpack[SolverSettings],
    ) -> None:
        super().__init__()
        check_choice("lift", lift, LIFTS)
        check_choice("field", field, FIELDS)
        check_choice("head", head, HEADS)
        self.n_members = n_members
        self.lift = LIFTS[lift](
            n_features,
            lift_dim,
            features=periodic_features,
            n_members=n_members,
            frequency=lift_frequency,
            generator=generator,
        )
        self.augment_dim = augment_dim
        n_dims = (n_features if lift == "identity" else lift_dim) + augment_dim

        def make_field(time_dependent: bool) -> nn.Module:
            return FIELDS[field](
                n_dims,
                hidden_layer_sizes,
                activation,
                time_dependent,
                n_members=n_members,
                dropout=dropout,
                generator=generator,
            )

        self.block: Block = make_block(make_field, n_blocks, time_dependent, **settings)
        self._masked = [part for part in self.modules() if isinstance(part, MaskedField)]
        self.head = HEADS[head](n_dims, n_outputs, generator, n_members)

    def start(self, x: Tensor) -> Tensor:
        """Take rows to where the ODE begins.

        Parameters
        ----------
        x : Tensor of shape ([n_members,] rows, n_features)
            The rows: the same for all members, or for each its own.

        Returns
        -------
        Tensor of shape (n_members · rows, n_dims)
            The states z(0) of the first member, followed by those of the second, and so on.
        """
        x = x.flatten(0, -2) if self.n_members == 1 else x.expand(self.n_members, -1, -1)
        z = self.lift(x).flatten(0, -2)
        return nn.functional.pad(z, (0, self.augment_dim)) if self.augment_dim else z

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the outputs of rows x.

        Parameters
        ----------
        x : Tensor of shape ([n_members,] rows, n_features)
            The rows: the same for all members, or for each its own.
        generator : torch.Generator or None, default=None
            In training, chooses the units that are left out; None: torch's global one.

        Returns
        -------
        Tensor of shape (n_members · rows, n_outputs)
            The outputs of the first member, followed by those of the second, and so on.
        """
        if self.training:
            for field in self._masked:
                field.draw_masks(generator)
        return self.head(self.block(self.start(x)))

    def trajectory(self, x: Tensor, times: list[float]) -> Tensor:
        """Follow rows on their way from z(0) to z(1).

        Parameters
        ----------
        x : Tensor of shape ([n_members,] rows, n_features)
            The rows: the same for all members, or for each its own.
        times : list of float
            Strictly increasing times, not negative; of residual blocks not beyond 1.

        Returns
        -------
        Tensor of shape (len(times), n_members · rows, n_dims)
            The states at these times.
        """
        return self.block.trajectory(self.start(x), times)
