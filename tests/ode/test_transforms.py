"""What torch's transformations of programs do to a solve: nothing, or they say what to do."""

import subprocess
import sys

import pytest
import torch

from sknode.modules import MLPField, ODEBlock
from sknode.ode import odeint
from tests.problems import Exponential, times

UNIT = times(0.0, 1.0)
# Dynamo looks at the gradient of whatever it finds.
quiet = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
ADJOINTS = ["discrete", "continuous", None]


def compiled(function):
    # Dynamo alone is what meets the solve; the compiler behind it takes a minute.
    return torch.compile(function, backend="eager")


@quiet
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_a_compiled_block_finds_the_same_states_and_gradients(adjoint):
    torch.manual_seed(0)
    block = ODEBlock(MLPField(3, (4,)), adjoint=adjoint).eval()
    z0 = torch.randn(5, 3, requires_grad=True)
    inputs = [z0, *block.parameters()]
    expected = block(z0)
    found = compiled(block)(z0)
    assert torch.equal(found, expected)
    gradients = [torch.autograd.grad(z.square().sum(), inputs) for z in (found, expected)]
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@quiet
def test_a_solve_amid_compiled_operations_is_the_same():
    field, z0 = Exponential(), Exponential().initial()

    def program(z0):
        return odeint(field, 2 * z0, UNIT, solver="rk4", n_steps=7).z[-1].cos()

    torch.testing.assert_close(compiled(program)(z0), program(z0), rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("adjoint", ADJOINTS)
@pytest.mark.parametrize("field", [MLPField(2).double(), Exponential()], ids=["dense", "module"])
def test_torch_func_is_told_what_to_do_instead(field, adjoint):
    def end(z0):
        return odeint(field, z0, UNIT, adjoint=adjoint).z[-1]

    z0 = Exponential().initial()
    for transformed in (
        torch.func.vmap(lambda row: end(row[None])),
        torch.func.grad(lambda z: end(z).sum()),
        torch.func.jacrev(end),
    ):
        with pytest.raises(ValueError, match=r"transformed by torch\.func.*make rows of z0"):
            transformed(z0)


def test_transformed_weights_are_told_what_to_do_instead():
    field, z0 = MLPField(2), torch.ones(3, 2)
    weights = {name: torch.stack([w, w]) for name, w in field.named_parameters()}

    def end(weights):
        renamed = {f"field.{name}": weight for name, weight in weights.items()}
        return torch.func.functional_call(ODEBlock(field), renamed, z0)

    with pytest.raises(ValueError, match="or members of an MLPField where weights differ"):
        torch.func.vmap(end)(weights)


COLD = """
import sys, torch
from sknode.modules import MLPField, ODEBlock
ODEBlock(MLPField(2))(torch.ones(3, 2)).sum().backward()
assert "torch._dynamo" not in sys.modules
"""


def test_a_solve_does_not_import_the_compiler():
    subprocess.run([sys.executable, "-c", COLD], check=True)
