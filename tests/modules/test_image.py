import pytest
import torch

from sknode.modules import ImageNetwork, ResidualBlocks


def network(**settings):
    generator = torch.Generator().manual_seed(0)
    settings = {"n_filters": 3, "augment_dim": 2, "generator": generator, **settings}
    return ImageNetwork((2, 6, 5), 4, **settings).double()


def rows(n=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 2 * 6 * 5, dtype=torch.float64, generator=generator)


def test_a_state_is_the_image_with_channels_of_zeros_behind_its_own():
    x = rows()
    z = network().start(x)
    assert z.shape == (3, 6, 5, 4)
    assert torch.equal(z[..., :2].movedim(-1, 1).flatten(1), x)
    assert not z[..., 2:].any()


def test_outputs_are_read_off_all_that_the_ode_ends_in():
    module, x = network().eval(), rows()
    end = module.block(module.start(x))
    torch.testing.assert_close(module(x), end.flatten(1) @ module.head.weight.T + module.head.bias)
    assert torch.equal(module(x.view(1, 3, -1)), module(x))


@pytest.mark.parametrize(("n", "state_shape"), [(1, (3, 2, 5)), (2, (1, 1, 5))])
def test_every_downsampling_halves_height_and_width(n, state_shape):
    module = network(n_downsamplings=n)
    assert module.state_shape == state_shape
    assert module.start(rows()).shape == (3, *state_shape)
    assert module(rows()).shape == (3, 4)


def test_an_image_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="6×5 pixels cannot be halved n_downsamplings=3 times"):
        network(n_downsamplings=3)


def test_blocks_in_place_of_the_ode_have_a_field_each_without_time():
    module, x = network(n_blocks=2).eval(), rows()
    assert isinstance(module.block, ResidualBlocks)
    z = module.start(x)
    for step in module.block.ordered:
        assert not step.field.time_dependent
        z = z + step.field(torch.zeros(()), z)
    torch.testing.assert_close(module.block(module.start(x)), z)


def test_the_states_on_the_way_begin_and_end_where_the_block_does():
    module, x = network().eval(), rows()
    states = module.trajectory(x, [0.0, 0.5, 1.0])
    assert states.shape == (3, 3, 6 * 5 * 4)
    assert torch.equal(states[0], module.start(x).flatten(1))
    assert torch.equal(states[2], module.block(module.start(x)).flatten(1))


def test_the_initial_weights_depend_on_the_generator_alone():
    before = torch.get_rng_state()
    settings = {"n_downsamplings": 1}
    found = [network(**settings).state_dict() for _ in range(2)]
    assert torch.equal(before, torch.get_rng_state())
    for name, tensor in found[0].items():
        assert torch.equal(tensor, found[1][name])


def test_a_network_that_is_only_looked_at_takes_no_room_and_draws_nothing():
    before = torch.get_rng_state()
    with torch.device("meta"):
        module = ImageNetwork((1, 8, 8), 2, n_filters=3, n_downsamplings=1)
    assert all(parameter.is_meta for parameter in module.parameters())
    assert torch.equal(before, torch.get_rng_state())


def test_the_papers_networks_have_the_size_that_the_papers_say():
    # Dupont et al., table 2: 84 thousand parameters, those of the head included.
    for augment_dim, n_filters in ((0, 92), (5, 64)):
        module = ImageNetwork((1, 28, 28), 10, augment_dim=augment_dim, n_filters=n_filters)
        n_parameters = sum(parameter.numel() for parameter in module.parameters())
        assert n_parameters == pytest.approx(84_500, rel=0.02)


def test_fewer_large_images_are_run_at_once():
    small, large = (ImageNetwork((1, n, n), 2, n_filters=16) for n in (8, 80))
    assert small.rows_at_a_time == pytest.approx(100 * large.rows_at_a_time, rel=0.1)
    assert ImageNetwork((1, 1, 2**20), 2, n_filters=64).rows_at_a_time == 1
