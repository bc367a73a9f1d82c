"""What torch's transformations of programs may do to a solve.

`torch.compile` leaves it as it is, between the graphs of what comes before and after: a solve is
compiled already, or looks at its numbers at every step. `torch.func` is refused.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

__all__ = ["check_untransformed", "untraced"]

P = ParamSpec("P")
R = TypeVar("R")


def untraced(function: Callable[P, R]) -> Callable[P, R]:
    """Let `torch.compile` call a function instead of tracing it.

    That is what `torch.compiler.disable` does, which imports torch._dynamo, and with it hundreds of
    modules, whether or not anything is compiled.
    """
    hidden = torch._disable_dynamo(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_dynamo_compiling():
            return hidden(*args, **kwargs)
        return function(*args, **kwargs)

    return call


def check_untransformed(z0: Tensor, parameters: Sequence[Tensor]) -> None:
    """Raise a ValueError if one of the tensors is inside of a transformation of torch.func."""
    functorch = torch._C._functorch
    if functorch.peek_interpreter_stack() is None:
        return
    if any(map(functorch.is_functorch_wrapped_tensor, (z0, *parameters))):
        raise ValueError(
            "a solve cannot be transformed by torch.func, as by vmap or grad. It is batched as "
            "it is: in place of vmap, make rows of z0 of what it would map over, or members of an "
            "MLPField where weights differ; in place of grad, use torch.autograd.grad"
        )
