import pytest
import torch
from torch import nn

from sknode.modules import MLPField
from sknode.modules.activations import ACTIVATIONS
from sknode.modules.dense import DenseDynamics
from sknode.ode import TABLEAUS, odeint
from sknode.ode.dense import DenseField, DenseForm, dense_form_of, parameters_of
from sknode.ode.eager.module import ModuleDynamics, bind
from sknode.ode.field import ClosedFormField, Stack, Tape
from tests.problems import Counted, Driven, Exponential, extended, times


def mlp(activation="tanh", time_dependent=True, sizes=(4, 5)):
    torch.manual_seed(0)
    return MLPField(3, sizes, activation, time_dependent).double()


def rows(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def states_and_gradients(field, **settings):
    z0 = rows(6, 3).requires_grad_()
    z, stats, _ = odeint(field, z0, times(0.0, 0.4, 2.0), **settings)
    g = torch.autograd.grad((z * rows(*z.shape)).sum(), [z0, *field.parameters()])
    return [z, *g], stats


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("solver", TABLEAUS)
@pytest.mark.parametrize("time_dependent", [True, False])
@pytest.mark.parametrize("adjoint", ["discrete", "continuous"])
def test_the_closed_form_is_the_module_itself(activation, solver, time_dependent, adjoint):
    field = mlp(activation, time_dependent)
    # Wrapped, it is a module like any other.
    assert isinstance(bind(field, rows(2, 3)), DenseDynamics)
    assert isinstance(bind(Counted(field), rows(2, 3)), ModuleDynamics)
    found, stats = states_and_gradients(field, solver=solver, adjoint=adjoint)
    expected, expected_stats = states_and_gradients(Counted(field), solver=solver, adjoint=adjoint)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(stats.accepted, expected_stats.accepted)
    assert torch.equal(stats.rejected, expected_stats.rejected)
    assert torch.equal(stats.nfe, expected_stats.nfe)
    assert stats.nfe_forward == expected_stats.nfe_forward
    assert stats.nfe_backward == expected_stats.nfe_backward


class Tied(nn.Module):
    """-Wᵀ tanh(W z): dense layers that are computed, and no pullback by hand."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(rows(5, 3))

    def dense_form(self):
        zeros = self.weight.new_zeros
        return DenseForm([self.weight, -self.weight.T], [zeros(5), zeros(3)], "tanh", False)

    def forward(self, t, z):
        return -torch.tanh(z @ self.weight.T) @ self.weight


@pytest.mark.parametrize("engine", ["eager", "auto"])
@pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
def test_dense_layers_that_are_computed_need_no_closed_form(engine, adjoint):
    found, _ = states_and_gradients(Tied(), engine=engine, adjoint=adjoint)
    expected, _ = states_and_gradients(Counted(Tied()), adjoint=adjoint)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [(), (1,), (7,), (2, 9, 2)])
def test_the_closed_form_holds_for_any_number_of_layers(sizes):
    found, _ = states_and_gradients(mlp(sizes=sizes))
    expected, _ = states_and_gradients(Counted(mlp(sizes=sizes)))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def evaluated(field, z0, t, v):
    """Return a field's derivative, and the pullback of v, at extended states (z0, t)."""
    system = bind(field, z0)
    tape = system.new_tape(2)
    with torch.no_grad():
        system.load(parameters_of(field, dense_form_of(field)))
        tape.x[1].copy_(extended(system, z0, t))
        derivative = system.evaluate(tape, 1)
        system.begin_reverse(2, weighted=False)
        system.v.blocks.zero_()
        system.v[1][:, : v.shape[1]] = v
        pulled = torch.full_like(derivative, float("nan"))
        tape.x[0].zero_()
        system.linearise(tape, 1)
        system.pullback(tape, 1, out=pulled)
    return derivative, pulled


@pytest.mark.parametrize("field", [mlp(), Counted(mlp())], ids=["closed form", "module"])
def test_time_is_a_state_with_derivative_one(field):
    z0, v = rows(5, 3), rows(5, 3).flip(0)
    derivative, pulled = evaluated(field, z0, 0.7, v)
    z = z0.clone().requires_grad_()
    dz = field(torch.full((5, 1), 0.7, dtype=torch.float64), z)
    expected = torch.autograd.grad(dz, z, v)[0]
    torch.testing.assert_close(derivative[:, :3], dz.detach(), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(pulled[:, :3], expected, rtol=1e-13, atol=1e-13)
    assert derivative[:, 3].tolist() == [1.0] * 5


def test_a_field_without_time_carries_no_time():
    derivative, pulled = evaluated(mlp(time_dependent=False), rows(5, 3), 0.7, rows(5, 3))
    assert derivative.shape == pulled.shape == (5, 3)


class Fault(nn.Module):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def forward(self, t, z):
        return self.fault(z)


@pytest.mark.parametrize("adjoint", ["discrete", "continuous", None])
@pytest.mark.parametrize(
    ("fault", "shape"),
    [
        (lambda z: z[:, :1], r"\(4, 1\)"),
        (lambda z: z.sum(0), r"\(3,\)"),
        (lambda z: z.T, r"\(3, 4\)"),
    ],
)
def test_a_field_must_return_one_derivative_per_state(fault, shape, adjoint):
    message = rf"the field must return one derivative per state, shape \(4, 3\), got {shape}"
    with pytest.raises(ValueError, match=message):
        odeint(Fault(fault), rows(4, 3).requires_grad_(), times(0.0, 1.0), adjoint=adjoint)


def test_a_field_in_closed_form_and_of_dense_layers_is_known_as_such():
    assert isinstance(mlp(), ClosedFormField)
    assert isinstance(mlp(), DenseField)
    assert not isinstance(Exponential(), ClosedFormField)
    assert not isinstance(Exponential(), DenseField)


def test_the_dense_form_computes_the_field():
    field, z, t = mlp("silu"), rows(5, 3), torch.full((5, 1), 0.3, dtype=torch.float64)
    form = field.dense_form()
    a = torch.cat((z, t), 1)
    for i, (weight, bias) in enumerate(zip(form.weights, form.biases, strict=True)):
        a = torch.addmm(bias, a, weight.T)
        if i < len(form.weights) - 1:
            a = ACTIVATIONS[form.activation].function(a)
    assert form.time_dependent
    torch.testing.assert_close(a, field(t, z), rtol=1e-14, atol=1e-14)


def test_a_stack_adds_up_its_first_blocks():
    stack = Stack(4, (2, 3), rows(1))
    stack.blocks.copy_(rows(4, 2, 3))
    out, weights = torch.empty(6, dtype=torch.float64), torch.tensor([1.0, -2.0, 0.5]).double()
    # What lies in the later blocks must not matter.
    stack.blocks[3] = float("nan")
    stack.combine(weights, out=out)
    expected = sum(w * block for w, block in zip(weights, stack.blocks, strict=False))
    torch.testing.assert_close(out.view(2, 3), expected, rtol=1e-14, atol=1e-14)


def test_blocks_and_rows_of_a_stack_are_views_of_one_buffer():
    stack = Stack(2, (3, 2), rows(1))
    stack.blocks.zero_()
    stack[1].fill_(1.0)
    stack.flat[0].fill_(2.0)
    assert stack.blocks[1].unique().item() == 1.0
    assert stack.blocks[0].unique().item() == 2.0


def test_a_tape_held_looks_as_if_rejected_rows_had_stood_still():
    tape = Tape(3, (2, 1), rows(1))
    tape.x.blocks.copy_(torch.tensor([[[1.0], [2.0]], [[3.0], [float("inf")]], [[5.0], [6.0]]]))
    tape.hold(torch.tensor([True, False]))
    assert tape.x.blocks[:, :, 0].tolist() == [[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]]


@pytest.mark.parametrize(
    ("accepted", "first"), [(None, [5.0, 6.0]), (torch.tensor([True, False]), [5.0, 2.0])]
)
def test_the_last_stage_of_a_step_is_the_first_of_the_next(accepted, first):
    old, new = Tape(3, (2, 1), rows(1)), Tape(3, (2, 1), rows(1))
    old.x.blocks.copy_(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]]))
    new.carry_from(old, accepted)
    assert new.x[0][:, 0].tolist() == first


def test_a_field_sees_the_time_of_each_row():
    seen = []

    class Watched(nn.Module):
        def forward(self, t, z):
            seen.append(t.flatten().tolist())
            return Driven()(t, z)

    z0 = torch.tensor([[1.0], [500.0]], dtype=torch.float64)
    with torch.no_grad():
        odeint(Watched(), z0, times(0.5, 2.0), tolerance=(1e-12, 1e-3))
    # Both start together; measured absolutely, the larger row soon lags behind.
    assert seen[0] == [0.5, 0.5]
    assert any(fast > slow for fast, slow in seen)
    # Times add up from steps, and so may round past the last.
    assert all(0.5 <= t <= 2.0 + 1e-15 * 8 for row in seen for t in row)
