import pytest
import torch
from torch import nn

from sknode.modules import NODENetwork
from sknode.modules.fields import FIELDS

X = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))


def test_the_start_is_the_row_with_zeros_appended():
    start = NODENetwork(4, 3, augment_dim=2).start(X)
    assert torch.equal(start[:, :4], X)
    assert torch.equal(start[:, 4:], torch.zeros(5, 2))


def test_a_linear_lift_comes_before_the_augmentation():
    network = NODENetwork(4, 3, lift="linear", lift_dim=7, augment_dim=1)
    assert torch.equal(network.start(X)[:, :7], network.lift(X))
    assert network.start(X).shape == (5, 8)


def test_the_outputs_are_read_off_the_end_of_the_trajectory():
    network = NODENetwork(4, 3).eval()
    with torch.no_grad():
        states = network.trajectory(X, [0.5, 1.0])
        assert states.shape == (2, 5, 4)
        torch.testing.assert_close(network.head(states[-1]), network(X))


def test_a_trajectory_at_time_zero_is_the_start():
    network = NODENetwork(4, 3, augment_dim=1)
    assert torch.equal(network.trajectory(X, [0.0])[0], network.start(X))


@pytest.mark.parametrize("n_members", [1, 3])
def test_members_may_have_rows_of_their_own(n_members):
    network = NODENetwork(4, 2, lift="periodic", n_members=n_members).eval()
    own = torch.randn(n_members, 5, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = network(own).view(n_members, 5, 2)
        of_all = torch.stack([network(rows).view(n_members, 5, 2)[i] for i, rows in enumerate(own)])
    torch.testing.assert_close(found, of_all)


def test_an_unknown_lift_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="lift='cubic' is not known; choose from"):
        NODENetwork(4, 3, lift="cubic")


@pytest.mark.parametrize("lift", ["identity", "linear"])
def test_a_generator_of_ones_own_draws_what_the_global_one_would(lift):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = NODENetwork(4, 3, lift=lift, augment_dim=1)
        state = torch.get_rng_state()
        generator = torch.Generator().manual_seed(3)
        network = NODENetwork(4, 3, lift=lift, augment_dim=1, generator=generator)
        assert torch.equal(torch.get_rng_state(), state)
    assert str(network) == str(expected)
    for a, b in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_field_begins_with_signals_that_keep_their_size_and_a_flow_that_hardly_moves():
    network = NODENetwork(200, 1, hidden_layer_sizes=(300, 400))
    *hidden, last = network.block.field.layers
    for layer in hidden:
        assert layer.weight.var().item() == pytest.approx(1 / layer.in_features, rel=0.05)
    assert last.weight.abs().max() <= 0.01 / last.in_features**0.5
    assert torch.equal(last.bias, torch.zeros(200))
    x = torch.randn(50, 200)
    assert (network.block(network.start(x)) - x).abs().max() < 0.05


class Decay(nn.Module):
    """z' = −z, whatever the sizes asked for."""

    def __init__(self, *sizes, **options):
        super().__init__()

    def forward(self, t, z):
        return -z


@pytest.mark.parametrize("n_blocks", [None, 2])
def test_a_field_that_is_registered_moves_the_state(monkeypatch, n_blocks):
    monkeypatch.setitem(FIELDS, "decay", Decay)
    network = NODENetwork(4, 3, field="decay", n_blocks=n_blocks, solver="rk4")
    assert [type(part) for part in network.modules() if isinstance(part, Decay)] == [Decay] * (
        n_blocks or 1
    )
    assert network(X).shape == (5, 3)


def test_an_unknown_field_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"field='tree' is not known; choose from \['mlp'\]"):
        NODENetwork(4, 3, field="tree")
