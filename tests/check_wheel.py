"""Check an installed sknode by itself: `python tests/check_wheel.py native|eager`."""

import sys
from pathlib import Path

import torch

import sknode
from sknode.modules import MLPField, ODEBlock
from sknode.ode import native

assert Path(sys.prefix) in Path(sknode.__file__).parents, f"{sknode.__file__} is not the wheel's"
expected = sys.argv[1]
found = "eager" if native.ENGINE is None else "native"
assert found == expected, f"expected the {expected} engine, found {found}"
block = ODEBlock(MLPField(3))
z0 = torch.randn(20, 3)
block(z0).square().sum().backward()
if found == "native":
    end = block.eval()(z0)
    block.settings = block.settings._replace(engine="eager")
    torch.testing.assert_close(block(z0), end, rtol=1e-4, atol=1e-5)
sknode.show_versions()
