"""The parameters of a network by how they are trained."""

from typing import NamedTuple

from torch import nn

from .lifts import PeriodicLift

__all__ = ["ParameterGroups", "parameter_groups"]


class ParameterGroups(NamedTuple):
    """The parameters of a network, each in one group and in the network's order.

    Attributes
    ----------
    biases : list of nn.Parameter
        What is added, which no weight decay should pull to zero.
    periodic : list of nn.Parameter
        Frequencies and phases, which are to be learned slowly.
    weights : list of nn.Parameter
        All others.
    """

    biases: list[nn.Parameter]
    periodic: list[nn.Parameter]
    weights: list[nn.Parameter]


def parameter_groups(network: nn.Module) -> ParameterGroups:
    """Tell apart what is to be trained in different ways."""
    lifts = [part for part in network.modules() if isinstance(part, PeriodicLift)]
    periodic = {parameter for lift in lifts for parameter in lift.periodic_parameters()}
    groups = ParameterGroups([], [], [])
    for name, parameter in network.named_parameters():
        if parameter in periodic:
            groups.periodic.append(parameter)
        elif name.rpartition(".")[2] == "bias":
            groups.biases.append(parameter)
        else:
            groups.weights.append(parameter)
    return groups
