import pytest
import torch

from sknode.modules.linear import BLOCK, linear


@pytest.mark.parametrize("n_rows", [0, 1, BLOCK, BLOCK + 1, 3 * BLOCK, 1000])
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_computes_and_learns_what_that_of_torch_does(n_rows, training):
    generator = torch.Generator().manual_seed(0)
    layer = linear(5, 2, generator).double().train(training)
    x = torch.randn(n_rows, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    g = torch.randn(n_rows, 2, generator=generator, dtype=torch.float64)
    wanted = (x, layer.weight, layer.bias)
    found, expected = layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
    gradients = torch.autograd.grad(found, wanted, g)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, wanted, g))


def test_gradients_do_not_depend_on_the_number_of_threads():
    generator = torch.Generator().manual_seed(0)
    layer = linear(10, 1, generator).double()
    x = torch.randn(442, 10, generator=generator, dtype=torch.float64)
    found, n_threads = [], torch.get_num_threads()
    try:
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            outputs = layer(x)
            found.append(torch.autograd.grad(outputs.square().sum(), list(layer.parameters())))
    finally:
        torch.set_num_threads(n_threads)
    assert all(
        torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True)
    )
