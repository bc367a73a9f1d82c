import pytest

from sknode.modules import ImageNetwork, NODENetwork
from sknode.modules.groups import parameter_groups


def names_of(network):
    """Return the names of the parameters in each group."""
    names = {parameter: name for name, parameter in network.named_parameters()}
    groups = parameter_groups(network)._asdict()
    return {group: [names[each] for each in parameters] for group, parameters in groups.items()}


def test_frequencies_and_phases_are_apart_from_weights_and_biases():
    assert names_of(NODENetwork(4, 3, lift="periodic", n_blocks=1)) == {
        "biases": [
            "lift.linear.bias",
            "block.steps.0.field.layers.0.bias",
            "block.steps.0.field.layers.1.bias",
            "head.bias",
        ],
        "periodic": ["lift.frequencies", "lift.phases"],
        "weights": [
            "lift.combinations",
            "lift.linear.weight",
            "block.steps.0.field.layers.0.weight",
            "block.steps.0.field.layers.1.weight",
            "head.weight",
        ],
    }


@pytest.mark.parametrize(
    "network",
    [
        NODENetwork(4, 3),
        NODENetwork(4, 3, lift="linear", n_members=2),
        NODENetwork(4, 3, lift="periodic", n_members=2),
        ImageNetwork((1, 4, 4), 3, n_downsamplings=1),
    ],
)
def test_every_parameter_is_in_one_group(network):
    grouped = [parameter for group in parameter_groups(network) for parameter in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == set(network.parameters())
