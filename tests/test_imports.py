"""The module map: a file imports only from rows above its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sknode"
# The files of one row do not import each other.
MAP = [
    {"exceptions", "_checks", "_files"},
    {"ode.tableau", "ode.transforms"},
    {"ode.field"},
    {"ode.workspace"},
    {"ode.step", "ode.control"},
    {"ode.integrate"},
    {"ode.adjoint"},
    {"ode.native", "ode.torchdiffeq"},
    {"ode.solution"},
    {"ode"},
    {"_versions"},
    {"modules.activations", "modules.linear", "modules.losses"},
    {"modules.convolution", "modules.fields", "modules.heads", "modules.lifts"},
    {"modules.block"},
    {"modules.residual"},
    {"modules.image", "modules.network"},
    {"modules"},
    {
        "estimators._average",
        "estimators._fork",
        "estimators._scaling",
        "estimators._schedule",
        "estimators._split",
    },
    {"estimators._data"},
    {"estimators._params"},
    {
        "estimators._training",
        "estimators._callbacks",
        "estimators._documented",
        "estimators._prediction",
    },
    {"estimators._checkpoint", "estimators._progress", "estimators._sklearn_callbacks"},
    {"estimators._base"},
    {
        "estimators._classification",
        "estimators._images",
        "estimators._regression",
        "estimators._residual",
        "estimators._rows",
    },
    {"estimators._node"},
    {"estimators.classifier", "estimators.image", "estimators.regressor", "estimators.resnet"},
    {"estimators"},
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
    assert {"ode.tableau", "ode.field"} <= own_imports("ode.step")
    assert "ode.solution" in own_imports("ode")
    assert "torch" in {name.split(".")[0] for name in imports("ode.step")}


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


def test_importing_sknode_does_not_load_matplotlib():
    loaded = loaded_by("import sknode, sknode.ode, sknode.modules")
    assert "torch" in loaded
    assert "matplotlib" not in loaded


def test_sknode_can_be_imported_without_matplotlib_and_pandas():
    # scikit-learn loads pandas where it finds it; None makes an import fail.
    absent = "sys.modules.update(matplotlib=None, pandas=None)"
    assert "sknode" in loaded_by(f"{absent}\nimport sknode, sknode.ode, sknode.modules")
