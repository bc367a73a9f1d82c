"""Fields of several members, and masks on their hidden units."""

import pytest
import torch

from sknode.exceptions import SolverError
from sknode.modules import MLPField
from sknode.modules.linear import linear
from sknode.ode import native, odeint

N_MEMBERS, N_ROWS = 3, 21
TIMES = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)


def several(activation="tanh", dtype=torch.float64, **options):
    generator = torch.Generator().manual_seed(0)
    field = MLPField(2, (5, 4), activation, n_members=N_MEMBERS, generator=generator, **options).to(
        dtype
    )
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.mul_(3)
    return field


def alone(field, member):
    """Return one member as a field of its own."""
    single = MLPField(2, (5, 4), field.activation).to(field.layers[0].weight)
    with torch.no_grad():
        for own, theirs in zip(single.parameters(), field.parameters(), strict=True):
            own.copy_(theirs[member])
    return single


def states(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N_MEMBERS * N_ROWS, 2, generator=generator, dtype=dtype)


@pytest.mark.parametrize("activation", ["tanh", "silu"])
@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
@pytest.mark.parametrize("solver", ["dopri5", "rk4"])
def test_members_are_solved_and_differentiated_as_if_they_were_alone(activation, adjoint, solver):
    options = {"solver": solver, "adjoint": adjoint, "tolerance": 1e-4}
    field, z0 = several(activation), states().requires_grad_()
    z, stats, _ = odeint(field, z0, TIMES, **options)
    z.square().sum().backward()
    for i, part in enumerate(z0.detach().split(N_ROWS)):
        single, part = alone(field, i), part.clone().requires_grad_()
        expected, expected_stats, _ = odeint(single, part, TIMES, **options)
        expected.square().sum().backward()
        rows = slice(i * N_ROWS, (i + 1) * N_ROWS)
        torch.testing.assert_close(z[:, rows], expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(z0.grad[rows], part.grad, rtol=1e-10, atol=1e-10)
        assert torch.equal(stats.accepted[rows], expected_stats.accepted)
        assert torch.equal(stats.rejected[rows], expected_stats.rejected)
        for theirs, own in zip(field.parameters(), single.parameters(), strict=True):
            torch.testing.assert_close(theirs.grad[i], own.grad, rtol=1e-9, atol=1e-9)


def test_without_an_adjoint_members_have_the_same_gradient():
    field, z0 = several(), states()
    gradients = []
    for adjoint in (None, "discrete"):
        z = odeint(field, z0, TIMES, adjoint=adjoint).z
        gradients.append(torch.autograd.grad(z.square().sum(), [*field.parameters()]))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_member_is_the_same_to_the_last_bit_whatever_members_lie_beside_it(n_threads):
    if native.ENGINE is None:
        pytest.skip("only the native engine promises bits")
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        field, z0 = several("silu", torch.float32), states(torch.float32)
        z = odeint(field, z0, TIMES).z
        for i, part in enumerate(z0.split(N_ROWS)):
            expected = odeint(alone(field, i), part, TIMES).z
            assert torch.equal(z[:, i * N_ROWS : (i + 1) * N_ROWS], expected)
    finally:
        torch.set_num_threads(before)


def test_rows_that_cannot_be_shared_out_are_refused():
    with pytest.raises(ValueError, match="as many rows for each of the field's 3 members, got 4"):
        odeint(several(), states()[:4], TIMES)


def test_a_failure_in_one_member_is_the_failure_of_its_rows():
    field = several("silu")
    with torch.no_grad():
        field.layers[-1].weight[1] = 1e8
    with pytest.raises(SolverError, match=f"in [0-9]+ of {N_MEMBERS * N_ROWS} rows"):
        odeint(field, states(), TIMES, max_steps=20)


def test_each_member_has_numbers_of_its_own():
    field = several()
    for parameter in field.parameters():
        assert len(parameter[:, 0].unique()) == parameter[:, 0].numel()


@pytest.mark.parametrize("n_members", [1, N_MEMBERS])
def test_numbers_are_drawn_in_the_bounds_of_linear_layers_and_leave_torchs_generator_alone(
    n_members,
):
    before = torch.get_rng_state()
    layer = linear(4, 500, torch.Generator().manual_seed(0), n_members)
    assert torch.equal(torch.get_rng_state(), before)
    for parameter in (layer.weight, layer.bias):
        assert parameter.abs().max().item() == pytest.approx(0.5, abs=0.01)


# Masks.


def masked(**options):
    field = several(dropout=0.5, **options)
    field.draw_masks(torch.Generator().manual_seed(2))
    return field


@pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
def test_a_masked_field_is_the_field_whose_units_are_cut_out(adjoint):
    field, z0 = masked(), states()
    cut = several()
    with torch.no_grad():
        for layer, mask in zip(cut.layers[1:], field._masks, strict=True):
            layer.weight.mul_(mask)
    options = {"adjoint": adjoint, "tolerance": 1e-6}
    found = odeint(field, z0, TIMES, **options).z
    expected = odeint(cut, z0, TIMES, **options).z
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    found = torch.autograd.grad(found.square().sum(), [*field.parameters()])
    expected = [*torch.autograd.grad(expected.square().sum(), [*cut.parameters()])]
    expected[2::2] = [g * mask for g, mask in zip(expected[2::2], field._masks, strict=True)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_masks_leave_out_the_part_asked_for_and_keep_the_mean():
    field = MLPField(2, (4000,), dropout=0.2)
    field.draw_masks(torch.Generator().manual_seed(0))
    mask = field._masks[0]
    assert sorted(mask.unique().tolist()) == pytest.approx([0.0, 1.25])
    assert (mask == 0).double().mean().item() == pytest.approx(0.2, abs=0.03)


def test_masks_are_drawn_by_the_generator_alone():
    before = torch.get_rng_state()
    first, second = masked(), masked()
    assert torch.equal(torch.get_rng_state(), before)
    for ours, theirs in zip(first._masks, second._masks, strict=True):
        assert torch.equal(ours, theirs)


def test_in_evaluation_nothing_is_left_out():
    field = masked().eval()
    expected = several()(torch.tensor(0.0), states())
    assert torch.equal(field(torch.tensor(0.0), states()), expected)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_a_dropout_outside_of_its_range_is_refused(dropout):
    with pytest.raises(ValueError, match="dropout must be at least 0 and less than 1"):
        MLPField(2, dropout=dropout)
