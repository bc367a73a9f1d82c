from math import pi

import pytest
import torch

from sknode.modules import NODENetwork
from sknode.modules.lifts import LIFTS, PeriodicLift


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("features", [None, [2, 0], []])
def test_a_periodic_lift_is_linear_in_the_row_and_in_combinations_of_cosines(n_members, features):
    lift = PeriodicLift(3, 5, features, n_members, generator=torch.Generator().manual_seed(0))
    x = torch.randn(n_members * 4, 3)
    chosen = [0, 1, 2] if features is None else features
    found = lift(x if n_members == 1 else x.view(n_members, 4, 3))
    for i, rows in enumerate(x.split(4)):
        f, phase, combine, weight, bias = (
            p.detach()[i] if n_members > 1 else p.detach()
            for p in (
                *(lift.frequencies, lift.phases, lift.combinations),
                *(lift.linear.weight, lift.linear.bias),
            )
        )
        waves = [torch.cos(2 * pi * rows[:, [c]] * f[j] + phase[j]) for j, c in enumerate(chosen)]
        functions = [wave @ combine[j] for j, wave in enumerate(waves)]
        expected = torch.cat([rows, *functions], 1) @ weight.T + bias
        torch.testing.assert_close(found[4 * i : 4 * i + 4], expected, rtol=1e-5, atol=1e-5)


def test_the_gradients_of_a_periodic_lift_are_those_of_finite_differences():
    lift = PeriodicLift(2, 3, None, 2, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    inputs = (x, *lift.parameters())

    def run(x, *parameters):
        named = dict(zip(dict(lift.named_parameters()), parameters, strict=True))
        return torch.func.functional_call(lift, named, x)

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("lift", list(LIFTS))
@pytest.mark.parametrize("n_members", [1, 2])
def test_augmentation_adds_zeros_after_any_lift(lift, n_members):
    network = NODENetwork(3, 1, lift=lift, lift_dim=4, augment_dim=2, n_members=n_members)
    z = network.start(torch.randn(5, 3))
    assert z.shape == (n_members * 5, (3 if lift == "identity" else 4) + 2)
    assert not z[:, -2:].any()
    assert z[:, :-2].all()


def test_the_members_of_a_network_see_the_same_rows():
    network = NODENetwork(3, 2, lift="identity", n_members=2)
    x = torch.randn(5, 3)
    assert torch.equal(network.start(x), torch.cat((x, x)))
    assert network(x).shape == (10, 2)


def test_masks_are_drawn_in_training_alone_and_anew_for_every_batch():
    network = NODENetwork(3, 1, dropout=0.5, hidden_layer_sizes=(50,), solver="rk4", n_steps=1)
    with torch.no_grad():
        network.block.field.layers[-1].weight.mul_(100)
    x, generator = torch.randn(5, 3), torch.Generator().manual_seed(0)
    first, second = network(x, generator), network(x, generator)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(network(x, generator.manual_seed(0)), first)
    assert torch.equal(network.eval()(x), network(x))


def test_the_frequencies_begin_with_the_spread_that_is_asked_for():
    lift = PeriodicLift(400, 3, frequency=0.7)
    assert lift.frequencies.std().item() == pytest.approx(0.7, rel=0.05)
    network = NODENetwork(400, 1, lift="periodic", lift_frequency=2.0)
    assert network.lift.frequencies.std().item() == pytest.approx(2.0, rel=0.05)
