import pytest
import torch

from sknode.modules import MLPField, NODENetwork, ODEBlock, ResidualBlocks
from sknode.modules.heads import FirstDims

SOME_TIMES = [0.0, 0.1, 0.5, 0.9, 1.0]


def fields(n=3):
    generator = torch.Generator().manual_seed(0)
    return [MLPField(2, (5,), time_dependent=False, generator=generator).double() for _ in range(n)]


def rows():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 2, dtype=torch.float64, generator=generator)


def by_hand(parts, z):
    states = [z]
    for field in parts:
        states.append(states[-1] + field(torch.zeros(()), states[-1]))
    return torch.stack(states)


def test_blocks_add_their_fields_one_after_the_other():
    parts, z = fields(), rows()
    torch.testing.assert_close(ResidualBlocks(parts)(z), by_hand(parts, z)[-1])


def test_gradients_are_those_of_autograd():
    parts, z = fields(), rows().requires_grad_()
    inputs = [z, *ResidualBlocks(parts).parameters()]
    found = torch.autograd.grad(ResidualBlocks(parts)(z).square().sum(), inputs)
    expected = torch.autograd.grad(by_hand(parts, z)[-1].square().sum(), inputs)
    torch.testing.assert_close(found, expected)


def test_shared_blocks_of_step_one_over_n_are_eulers_method():
    field, z = fields(1)[0], rows()
    states = z
    for _ in range(3):
        states = states + field(torch.zeros(()), states) / 3
    torch.testing.assert_close(ODEBlock(field, solver="euler", n_steps=3)(z), states)


def test_the_energy_is_that_of_the_ways_at_even_speed():
    blocks, z = ResidualBlocks(fields(), kinetic_energy=True), rows()
    states = blocks.trajectory(z, torch.linspace(0, 1, 301, dtype=torch.float64).tolist())
    speed = (states.diff(dim=0) * 300).square().mean(2)
    blocks(z)
    torch.testing.assert_close(blocks.kinetic_energy, speed.mean(0))
    assert ResidualBlocks(fields()).kinetic_energy is None


def test_states_between_the_blocks_lie_on_straight_lines():
    parts, z = fields(2), rows()
    start, middle, end = by_hand(parts, z)
    found = ResidualBlocks(parts).trajectory(z, SOME_TIMES)
    expected = [start, start + 0.2 * (middle - start), middle, middle + 0.8 * (end - middle), end]
    torch.testing.assert_close(found, torch.stack(expected))


def test_there_is_nothing_beyond_the_last_block():
    with pytest.raises(ValueError, match=r"must not be beyond 1, the last block, got 1\.5"):
        ResidualBlocks(fields()).trajectory(rows(), [0.0, 1.5])


def test_a_block_counts_as_one_evaluation_in_each_direction():
    blocks = ResidualBlocks(fields())
    assert blocks.stats is None
    blocks(rows().requires_grad_()).sum().backward()
    stats = blocks.stats
    assert (stats.nfe_forward, stats.nfe_backward) == (3, 3)
    assert stats.nfe.tolist() == stats.accepted.tolist() == [3] * 4
    assert not stats.rejected.any()


def test_members_have_blocks_of_their_own():
    network = NODENetwork(2, 1, n_blocks=3, n_members=2).double()
    z = rows()
    found = network(z).view(2, 4, 1)
    for member in range(2):
        alone = NODENetwork(2, 1, n_blocks=3).double()
        with torch.no_grad():
            for own, of_all in zip(alone.parameters(), network.parameters(), strict=True):
                own.copy_(of_all[member])
        torch.testing.assert_close(alone(z), found[member])


def test_units_are_left_out_of_all_blocks_in_training():
    network = NODENetwork(2, 1, n_blocks=2, dropout=0.5, hidden_layer_sizes=(20,)).double()
    network(rows(), torch.Generator().manual_seed(0))
    forms = [field.dense_form() for field in network.block.modules() if isinstance(field, MLPField)]
    dropped = [(form.weights[1] == 0).all(0) for form in forms]
    assert all(0 < each.sum() < 20 for each in dropped)
    assert not torch.equal(*dropped)


def test_an_identity_for_a_head_reads_off_the_first_dimensions():
    z = rows()
    assert torch.equal(FirstDims(2, 1)(z), z[:, :1])
    network = NODENetwork(2, 2, head="identity").double().eval()
    assert torch.equal(network(z), network.block(network.start(z)))
    assert not list(network.head.parameters())


def test_a_head_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"3 outputs .* which has 2; raise augment_dim"):
        NODENetwork(2, 3, head="identity")
    with pytest.raises(ValueError, match=r"head='cubic' is not known; choose from \['linear'"):
        NODENetwork(2, 3, head="cubic")


def test_no_blocks_are_refused():
    with pytest.raises(ValueError, match="must be one residual block or more, got none"):
        ResidualBlocks([])
    with pytest.raises(ValueError, match="must be one residual block or more, got none"):
        NODENetwork(4, 3, n_blocks=0)
