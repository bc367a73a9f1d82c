"""Check an installed sknode by itself: `python tests/check_wheel.py native|eager`."""

import sys
from pathlib import Path

import torch

import sknode
from sknode.modules import MLPField, ODEBlock
from sknode.ode import native


def main(expected: str) -> None:
    """Fail unless the sknode of this environment is there and solves with the engine expected."""
    place = Path(sknode.__file__)
    assert Path(sys.prefix) in place.parents, f"{place} is not in {sys.prefix}"
    found = "eager" if native.ENGINE is None else "native"
    assert found == expected, f"expected the {expected} engine, found the {found} one"
    field, z0 = MLPField(3), torch.randn(20, 3)
    ends = [ODEBlock(field, engine=engine).eval()(z0) for engine in (expected, "eager")]
    ends[0].square().sum().backward()
    torch.testing.assert_close(*ends, rtol=1e-4, atol=1e-5)
    sknode.show_versions()


if __name__ == "__main__":
    main(sys.argv[1])
