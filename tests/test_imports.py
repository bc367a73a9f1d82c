"""The module map: a file imports only from rows above its own."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sknode

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sknode"
# The files of one row do not import each other.
MAP = [
    {"exceptions", "_checks", "_docstrings", "_files"},
    {"_vectors"},
    {"ode.tableau", "ode.transforms"},
    {"ode.dense", "ode.failures", "ode.field", "ode.pool", "ode.stats", "ode.step_sizes"},
    {"ode.gradients", "ode.settings"},
    {"ode.eager.control", "ode.eager.module", "ode.eager.step"},
    {"ode.eager.workspace"},
    {"ode.eager.stepping"},
    {"ode.eager.integrate"},
    {"ode.eager.continuous", "ode.eager.discrete"},
    {"ode.eager.solve"},
    {"ode.eager", "ode.native"},
    {"ode.solution"},
    {"ode"},
    {"_versions"},
    {"modules.activations", "modules.linear", "modules.losses"},
    {"modules.convolution", "modules.dense", "modules.heads", "modules.lifts"},
    {"modules.block", "modules.fields", "modules.groups"},
    {"modules.residual"},
    {"modules.image", "modules.network"},
    {"modules"},
    {
        "training.average",
        "training.devices",
        "training.interruption",
        "training.progress",
        "training.recipe",
        "training.recovery",
        "training.scaling",
        "training.schedule",
        "training.seeds",
        "training.snapshot",
        "training.split",
        "training.target",
        "training.threads",
    },
    {"training.data", "training.optimizers"},
    {"training.batches", "training.callbacks", "training.prediction"},
    {"training.net"},
    {"training.state", "training.trainer"},
    {"training.checkpoint"},
    {"training"},
    {"estimators._kinds", "estimators._sklearn"},
    {"estimators.parameters"},
    {"estimators._hyperparameters"},
    {"estimators._numbers", "estimators.classes", "estimators.reading", "estimators._tasks"},
    {"estimators.attributes", "estimators.recipes"},
    {"estimators.documented"},
    {"estimators._fitting"},
    {"estimators.base"},
    {
        "estimators._states",
        "estimators.blocks",
        "estimators.classification",
        "estimators.regression",
    },
    {"estimators.images", "estimators.tabular"},
    {"estimators.solver"},
    {"estimators.classifier", "estimators.image", "estimators.regressor", "estimators.resnet"},
    {"estimators"},
    {"_encoding"},
    {"inspection", "persistence", "export", "datasets", "presets", "search_spaces", "tables"},
]
HEIGHT = {name: height for height, row in enumerate(MAP) for name in row}
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
del FILES["__init__"]


def row_of(module: str) -> str:
    """Return the longest part of a module's name that the map knows."""
    while module and module not in HEIGHT:
        module = module.rpartition(".")[0]
    return module


def imports(module: str, when_imported: bool = False) -> set[str]:
    """Return the absolute names that a file's import statements name.

    With `when_imported` those within functions are left out.
    """
    path = FILES[module]
    package = ["sknode", *module.split(".")]
    if path.name != "__init__.py":
        package.pop()
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if when_imported else ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found.update(f"{origin}.{alias.name}" for alias in node.names)
    return found


def own_imports(module: str) -> set[str]:
    inside = {
        name.removeprefix("sknode.") for name in imports(module) if name.startswith("sknode.")
    }
    return {row_of(name) for name in inside} - {row_of(module), ""}


@pytest.mark.parametrize("module", FILES)
def test_every_file_has_its_row_in_the_map(module):
    assert row_of(module), f"add {module} to MAP"


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_only_from_rows_above_its_own(module):
    height = HEIGHT[row_of(module)]
    assert {name for name in own_imports(module) if HEIGHT[name] >= height} == set()


def test_the_map_sees_relative_and_absolute_imports():
    assert {"ode.tableau", "ode.field"} <= own_imports("ode.eager.step")
    assert "ode.eager.step" in own_imports("ode.eager.stepping")
    assert "ode.solution" in own_imports("ode")
    assert "torch" in {name.split(".")[0] for name in imports("ode.eager.step")}


def test_the_native_engine_knows_nothing_of_the_eager_one():
    # The map holds that the eager one knows nothing of the native one, which is below it.
    assert not [name for name in own_imports("ode.native") if name.startswith("ode.eager")]


CORE = [name for name in FILES if name.split(".")[0] in ("ode", "modules", "exceptions")]


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_neither_scikit_learn_nor_skorch(module):
    assert {name.split(".")[0] for name in imports(module)}.isdisjoint({"sklearn", "skorch"})


@pytest.mark.parametrize("module", FILES)
def test_no_file_imports_matplotlib_or_pandas_when_it_is_imported(module):
    names = {name.split(".")[0] for name in imports(module, when_imported=True)}
    assert names.isdisjoint({"matplotlib", "pandas"})


def loaded_by(code: str) -> set[str]:
    """Return the packages that a fresh interpreter has loaded after running the code."""
    code = f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_importing_sknode_loads_nothing_of_what_it_builds_on():
    assert loaded_by("import sknode").isdisjoint({"torch", "numpy", "sklearn", "skorch"})


def test_importing_sknode_and_its_core_does_not_load_matplotlib():
    loaded = loaded_by("import sknode, sknode.ode, sknode.modules")
    assert "torch" in loaded
    assert "matplotlib" not in loaded


ABSENT = "sys.modules.update(sklearn=None, skorch=None, scipy=None, safetensors=None, rich=None)"
SOLVE = f"""
{ABSENT}
import torch
from sknode.modules import MLPField, NODENetwork, ODEBlock
from sknode.ode import odeint
odeint(MLPField(2), torch.ones(3, 2), torch.tensor([0.0, 1.0])).z.sum().backward()
NODENetwork(4, 3)(torch.ones(5, 4)).sum().backward()
"""


def test_the_core_stands_alone_where_nothing_but_torch_is_installed():
    # None makes an import fail.
    assert "torch" in loaded_by(SOLVE)


def test_estimators_can_be_used_without_matplotlib_and_pandas():
    # scikit-learn loads pandas where it finds it.
    absent = "sys.modules.update(matplotlib=None, pandas=None)"
    code = f"{absent}\nimport sknode, sknode.ode, sknode.modules\nsknode.NODEClassifier()"
    assert "sklearn" in loaded_by(code)


def test_all_names_and_folders_are_found_where_completion_looks_for_them():
    assert set(sknode.__all__) <= set(dir(sknode))
    for name in dir(sknode):
        assert getattr(sknode, name) is not None
    assert sknode.ode.odeint is importlib.import_module("sknode.ode").odeint
    with pytest.raises(AttributeError, match="module 'sknode' has no attribute 'NODEForecaster'"):
        _ = sknode.NODEForecaster


def test_type_checkers_see_the_names_that_are_imported_late():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (late,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in late.body for alias in node.names}
    assert sorted(seen) == sorted(sknode.__all__)
    assert {name: sknode.HOMES.get(name, "estimators") for name in seen} == seen


FITS = """
import numpy as np
import sknode
rng = np.random.default_rng(0)
X, y = rng.normal(size=(200, 4)), rng.integers(3, size=200)
fit = {"max_epochs": 2, "batch_size": 64, "random_state": 0}
for optimizer in ("adamw", "adam", "sgd"):
    model = sknode.NODEClassifier(optimizer=optimizer, gradient_clip=1.0, warm_start=True, **fit)
    model.fit(X, y).fit(X, y).partial_fit(X, y).predict_proba(X)
sknode.NODERegressor(solver="dopri5", adjoint="continuous", early_stopping=True, **fit).fit(X, y)
sknode.ResNetRegressor(early_stopping=False, **fit).fit(X, y).predict(X)
sknode.NODEImageClassifier(image_shape=(2, 2), n_filters=4, **fit).fit(X, y).predict(X)
"""


def test_a_fit_imports_no_compiler_and_no_algebra():
    loaded = loaded_by(f"{FITS}\nprint(*sys.modules)")
    assert "sklearn" in loaded
    assert loaded.isdisjoint({"torch._dynamo", "torch._inductor", "sympy"})
