"""The network for images: down-sampling, augmentation, a convolutional block, head."""

from collections.abc import Sequence
from math import prod
from typing import Unpack

import torch
from torch import Tensor, nn

from ..ode.settings import SolverSettings, describing_settings, with_settings
from .block import Block
from .convolution import ConvField, convolution
from .linear import linear, make_small
from .residual import make_block

__all__ = ["ImageNetwork"]

# So many numbers may be between two convolutions: 4 MB in single precision, which a cache holds.
MOST_AT_A_TIME = 2**20


@describing_settings
class ImageNetwork(nn.Module):
    """The map from an image to the outputs, through a convolutional Neural ODE [1]_.

    In place of the ODE there may be its discrete counterpart, blocks z ← z + f_k(z).

    Parameters
    ----------
    image_shape : sequence of int
        Channels, height and width.
    n_outputs : int
        Number of outputs.
    augment_dim : int, default=0
        Number of channels of zeros that are appended before the ODE.
    n_filters : int, default=64
        Number of channels between the convolutions of the field.
    activation : {"relu", "softplus", "silu", "tanh"}, default="relu"
        Between the convolutions of the field; the last is linear.
    n_downsamplings : int, default=0
        Number of convolutions before the ODE, each with `n_filters` channels and half the height
        and width.
    time_dependent : bool, default=True
        Whether t is an input of the field beside z.
    n_blocks : int or None, default=None
        Number of residual blocks, each with a field of its own, in place of the ODE. Their fields
        do not depend on time, and there is no solver.
    {settings}
    generator : torch.Generator or None, default=None
        Draws the initial weights; None: torch's global one.

    Attributes
    ----------
    stem : nn.Sequential
        The convolutions before the ODE.
    state_shape : tuple of int
        Height, width and channels of a state.
    block : ODEBlock or ResidualBlocks
        The way from z(0) to z(1).
    head : nn.Linear
        The map from z(1) to the outputs.
    rows_at_a_time : int
        Number of images that are best run at once, so that memory stays bounded.

    Raises
    ------
    ValueError
        If there is nothing left to halve.

    References
    ----------
    .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from sknode.modules import ImageNetwork
    >>> network = ImageNetwork((1, 28, 28), 10, augment_dim=5, n_filters=8)
    >>> network(torch.ones(5, 784)).shape, network.state_shape
    (torch.Size([5, 10]), (28, 28, 6))
    """

    n_members = 1

    @with_settings(before="generator")
    def __init__(
        self,
        image_shape: Sequence[int],
        n_outputs: int,
        *,
        augment_dim: int = 0,
        n_filters: int = 64,
        activation: str = "relu",
        n_downsamplings: int = 0,
        time_dependent: bool = True,
        n_blocks: int | None = None,
        generator: torch.Generator | None = None,
        **settings: Unpack[SolverSettings],
    ) -> None:
        super().__init__()
        n_channels, height, width = image_shape
        if min(height, width) < 2**n_downsamplings:
            raise ValueError(
                f"images of {height}×{width} pixels cannot be halved n_downsamplings="
                f"{n_downsamplings} times"
            )
        self.image_shape = (n_channels, height, width)
        self.augment_dim = augment_dim
        self.stem = nn.Sequential()
        for _ in range(n_downsamplings):
            self.stem.extend(
                [convolution(n_channels, n_filters, 4, generator, stride=2), nn.ReLU()]
            )
            n_channels = n_filters
            height //= 2
            width //= 2
        n_channels += augment_dim

        def make_field(time_dependent: bool) -> ConvField:
            field = ConvField(n_channels, n_filters, activation, time_dependent, generator)
            make_small(field.layers[-1])
            return field

        self.block: Block = make_block(make_field, n_blocks, time_dependent, **settings)
        self.state_shape = (height, width, n_channels)
        self.head = linear(prod(self.state_shape), n_outputs, generator)
        self.rows_at_a_time = max(1, MOST_AT_A_TIME // (height * width * n_filters))

    def start(self, x: Tensor) -> Tensor:
        """Take images to where the ODE begins.

        Parameters
        ----------
        x : Tensor of shape (..., rows, channels · height · width)
            The images, as rows of numbers.

        Returns
        -------
        Tensor of shape ``(rows, *state_shape)``
            The states z(0).
        """
        images = x.reshape(-1, *self.image_shape).contiguous(memory_format=torch.channels_last)
        z = self.stem(images).movedim(1, -1)
        return nn.functional.pad(z, (0, self.augment_dim)).contiguous()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the outputs of images.

        Parameters
        ----------
        x : Tensor of shape (..., rows, channels · height · width)
            The images, as rows of numbers.
        generator : torch.Generator or None, default=None
            Not used: nothing is drawn.

        Returns
        -------
        Tensor of shape (rows, n_outputs)
            The outputs.
        """
        return self.head(self.block(self.start(x)).flatten(1))

    def trajectory(self, x: Tensor, times: list[float]) -> Tensor:
        """Follow images on their way from z(0) to z(1).

        Parameters
        ----------
        x : Tensor of shape (..., rows, channels · height · width)
            The images, as rows of numbers.
        times : list of float
            Strictly increasing times, not negative.

        Returns
        -------
        Tensor of shape (len(times), rows, height · width · channels)
            The states at these times, those of `state_shape` flattened.
        """
        return self.block.trajectory(self.start(x), times).flatten(2)
