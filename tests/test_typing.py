"""What type checkers make of the calls that users write."""

import re
from pathlib import Path

import pytest
from mypy import api

from tests import calls

ROOT = Path(__file__).parents[1]
# As a user has it who has no configuration of mypy, and packages without types.
OPTIONS = ["--config-file=", "--ignore-missing-imports", "--no-error-summary"]
REFUSED = {
    "NODEClassifier(solvr='dopri5')": 'keyword argument "solvr"',
    "NODEClassifier(max_epochs='many')": '"max_epochs" .* expected "int"',
    "NODERegressor(los='huber')": 'keyword argument "los"',
    "NODERegressor(class_weight='balanced')": 'keyword argument "class_weight"',
    "NODEImageClassifier(n_filter=8)": 'keyword argument "n_filter"',
    "NODEImageClassifier(hidden_layer_sizes=(8,))": 'keyword argument "hidden_layer_sizes"',
    "ResNetClassifier(solver='rk4')": 'keyword argument "solver"',
    "ResNetRegressor(n_blocks=None)": '"n_blocks" .* expected "int"',
    "ODEBlock(MLPField(2), solvr='rk4')": 'keyword argument "solvr"',
    "ODEBlock(MLPField(2), max_steps='many')": '"max_steps" .* expected "int"',
    "NODENetwork(4, 3, tolerence=1e-3)": 'keyword argument "tolerence"',
    "odeint(MLPField(2), z0, t, n_step=3)": 'keyword argument "n_step"',
}
IMPORTS = """from torch import Tensor
from sknode import NODEClassifier, NODEImageClassifier, NODERegressor
from sknode import ResNetClassifier, ResNetRegressor
from sknode.modules import MLPField, NODENetwork, ODEBlock
from sknode.ode import odeint
z0: Tensor
t: Tensor"""


def complaints(*paths: Path) -> list[str]:
    """Return what mypy has to say of files."""
    cache = f"--cache-dir={ROOT / '.mypy_cache' / 'calls'}"
    found, failure, _ = api.run([*OPTIONS, cache, *map(str, paths)])
    assert not failure
    return [line for line in found.splitlines() if ": error:" in line]


def test_all_documented_calls_have_the_right_types(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert blocks
    files = [ROOT / "tests" / "calls.py", *sorted((ROOT / "examples").glob("*.py"))]
    for i, block in enumerate(blocks):
        files.append(tmp_path / f"readme_{i}.py")
        files[-1].write_text(block, "utf-8")
    assert complaints(*files) == []


@pytest.mark.parametrize("call", [calls.construct, calls.fit, calls.solve])
def test_the_documented_calls_run(call):
    call()


@pytest.fixture(scope="module")
def refusals(tmp_path_factory) -> list[str]:
    path = tmp_path_factory.mktemp("calls") / "misspelt.py"
    path.write_text("\n".join([IMPORTS, *REFUSED]), "utf-8")
    return complaints(path)


@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_is_misspelt_or_of_a_wrong_type_is_refused(call, refusals):
    line = list(REFUSED).index(call) + IMPORTS.count("\n") + 2
    (complaint,) = [found for found in refusals if f"misspelt.py:{line}:" in found]
    assert re.search(REFUSED[call], complaint)
