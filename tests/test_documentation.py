"""The docstrings of the public names, and the reference that lists them."""

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
from itertools import pairwise
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import sknode
from sknode.modules import ODEBlock
from sknode.ode import Stats

NumpyDocString = pytest.importorskip("numpydoc.docscrape").NumpyDocString
validate = pytest.importorskip("numpydoc.validate").validate

PACKAGE = Path(sknode.__file__).parent
REFERENCE = Path(__file__).parents[1] / "docs" / "api"
ENTRY = re.compile(r"^\.\. auto\w+:: (\S+)((?:\n   :.*)*)", re.MULTILINE)
MEMBERS = re.compile(r":members: (.*)")
DEFAULT = re.compile(r"\bdefault=(.+)$")
# Nor is there one to compare where it is a class, which is told in words.
NO_DEFAULT = "no default"

NOT_ASKED = {
    "ES01",  # an extended summary: where the first sentence says it all, a second would pad
    "SA01",  # a See Also section: few names have a neighbour that is worth a look
    "EX01",  # an example of each method: that of its class shows how it is called
}


def resolved(name: str) -> object:
    """Return what an absolute name stands for."""
    module, _, rest = name.rpartition(".")
    return getattr(importlib.import_module(module), rest)


def public_names() -> dict[int, str]:
    """Return the public objects' names by identity, of several for one object the first."""
    inside = [f"sknode.{found.name}" for found in pkgutil.iter_modules(sknode.__path__)]
    modules = ["sknode", *(name for name in inside if "._" not in name)]
    found: dict[int, str] = {}
    for module in modules:
        for name in importlib.import_module(module).__all__:
            found.setdefault(id(resolved(f"{module}.{name}")), f"{module}.{name}")
    return found


def members(cls: type) -> dict[str, object]:
    """Return the public methods and properties that a class has from sknode."""
    bases = [base for base in reversed(cls.__mro__) if base.__module__.startswith("sknode")]
    return {
        name: member
        for base in bases
        for name, member in vars(base).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, classmethod | property))
    }


def documented_names() -> list[str]:
    """Return the names of what has a docstring of its own, what is inherited once."""
    found: dict[int, str] = {}
    for name in CALLABLES:
        for member, function in members(resolved(name)).items() if name in CLASSES else ():
            found.setdefault(id(function), f"{name}.{member}")
    return CALLABLES + list(found.values())


def object_of(name: str) -> object:
    """Return a public object, or a member of a public class."""
    owner, _, member = name.rpartition(".")
    return getattr(resolved(owner), member) if owner in CLASSES else resolved(name)


def docstring_of(name: str) -> NumpyDocString:
    return NumpyDocString(inspect.getdoc(object_of(name)))


def entries(docstring: NumpyDocString, *sections: str) -> dict[str, tuple[str, str]]:
    """Return types and descriptions by name; errors have no type, and may share a description."""
    found = {}
    for section in sections:
        for names, kind, lines in docstring[section]:
            if section in ("Raises", "Warns"):
                names, kind = kind, ""
            found.update({name: (kind, " ".join(lines)) for name in names.split(", ")})
    return found


def documented_data() -> set[str]:
    """Return the variables of the package that a text follows, as Sphinx reads it."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for statement, after in pairwise(body):
            text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(statement, ast.AnnAssign) and text:
                found.add(ast.unparse(statement.target))
    return found


def is_record(cls: object) -> bool:
    """Say whether it is a class of named fields and little more."""
    return dataclasses.is_dataclass(cls) or hasattr(cls, "_fields")


def raised_by(thing: object) -> set[str]:
    """Return the names of the errors for which the body of a function, or `__init__`, has raise."""
    function = vars(thing).get("__init__") if inspect.isclass(thing) else thing
    if function is None or isinstance(function, property) or is_record(thing):
        return set()
    source = inspect.getsource(function)
    # A docstring may have lines further to the left than the code, so there is no dedent.
    tree = ast.parse(f"if True:\n{source}" if source[0].isspace() else source)
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    names = {ast.unparse(error.func if isinstance(error, ast.Call) else error) for error in raised}
    # A name in lower case is that of a function which makes the error.
    return {name for name in names if name[0].isupper()}


def reference() -> dict[str, list[str]]:
    """Return the members that the pages name of what they list, which goes by its first name."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.rst")))
    found = ENTRY.findall(text)
    names = [name for name, _ in found]
    assert len(set(names)) == len(names), "the reference lists a name twice"
    listed = {name: MEMBERS.search(options) for name, options in found}
    return {
        PUBLIC.get(id(resolved(name)), name): match[1].split(", ") if match else []
        for name, match in listed.items()
    }


PUBLIC = public_names()
CALLABLES = [name for name in PUBLIC.values() if callable(resolved(name))]
CLASSES = [name for name in CALLABLES if inspect.isclass(resolved(name))]
ESTIMATORS = [name for name in CLASSES if issubclass(resolved(name), BaseEstimator)]
DOCUMENTED = documented_names()
WITH_PARAMETERS = [name for name in DOCUMENTED if docstring_of(name)["Parameters"]]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_docstring_passes_numpydocs_checks(name):
    excused = set(NOT_ASKED)
    if is_record(object_of(name)) and not docstring_of(name)["Parameters"]:
        excused.add("PR01")  # sknode makes it, and its fields are attributes to whoever gets it
    errors = validate(name)["errors"]
    assert [error for error in errors if error[0] not in excused] == []


@pytest.mark.parametrize("name", DOCUMENTED)
def test_attributes_have_types_and_they_and_errors_have_descriptions(name):
    docstring = docstring_of(name)
    attributes = entries(docstring, "Attributes")
    assert [attribute for attribute, (kind, _) in attributes.items() if not kind] == []
    described = {**attributes, **entries(docstring, "Raises", "Warns")}
    sentence = re.compile(r"(?![a-z]).*\.")
    assert [entry for entry, (_, text) in described.items() if not sentence.fullmatch(text)] == []


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_the_defaults_in_a_docstring_are_those_of_the_signature(name):
    written = {
        parameter: ast.literal_eval(match[1]) if (match := DEFAULT.search(kind)) else NO_DEFAULT
        for parameter, (kind, _) in entries(docstring_of(name), "Parameters").items()
    }
    actual = {
        parameter: NO_DEFAULT if inspect.isclass(known.default) else known.default
        for parameter, known in inspect.signature(object_of(name)).parameters.items()
        if parameter in written
    }
    assert written == actual


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_errors_that_a_function_raises_itself_are_documented(name):
    assert raised_by(object_of(name)) <= set(entries(docstring_of(name), "Raises"))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_reference_is_cited_and_every_citation_has_its_reference(name):
    text = inspect.getdoc(object_of(name))
    cited = set(re.findall(r"\[(\d+)\]_", text))
    assert cited == set(re.findall(r"^\.\. \[(\d+)\]", text, re.MULTILINE))


@pytest.mark.parametrize("name", CALLABLES)
def test_a_class_or_function_has_an_example_that_runs(name):
    lines = docstring_of(name)["Examples"]
    assert any(line.lstrip().startswith(">>>") for line in lines)
    assert not any("+SKIP" in line for line in lines)


def test_what_is_no_class_or_function_says_what_it_is():
    data = {name.rpartition(".")[2] for name in set(PUBLIC.values()) - set(CALLABLES)}
    assert data
    assert data <= documented_data()


@pytest.mark.parametrize("name", CLASSES)
def test_properties_and_declared_attributes_are_documented_with_their_class(name):
    cls = resolved(name)
    bases = [base for base in cls.__mro__ if base.__module__.startswith("sknode")]
    declared = {each for base in bases for each in inspect.get_annotations(base)}
    declared |= {each for each, member in members(cls).items() if isinstance(member, property)}
    public = {each for each in declared if not each.startswith("_")}
    assert public - set(entries(docstring_of(name), "Parameters", "Attributes")) == set()


@pytest.mark.parametrize("name", CLASSES)
def test_a_property_is_described_alike_by_itself_and_by_its_class(name):
    # numpydoc shows the former in place of the latter.
    attributes = entries(docstring_of(name), "Attributes")
    for each, member in members(resolved(name)).items():
        if isinstance(member, property):
            assert attributes[each][1] == inspect.getdoc(member).replace("\n", " ")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_fitted_estimator_has_the_attributes_that_it_documents_and_no_others(name):
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"a": range(12), "b": [0, 1, 2, 5] * 3}, dtype=float)
    fitted = resolved(name)(max_epochs=1, random_state=0).fit(X, [0, 1] * 6)
    learned = {each for each in vars(fitted) if each.endswith("_") and not each.startswith("_")}
    assert learned == set(entries(docstring_of(name), "Attributes"))


def test_the_reference_lists_every_public_name_and_nothing_else():
    assert sorted(reference()) == sorted(PUBLIC.values())


@pytest.mark.parametrize("name", CLASSES)
def test_the_reference_names_the_public_methods_of_a_class(name):
    # Properties stand among its attributes, which its own docstring describes.
    cls = resolved(name)
    methods = {each for each, member in members(cls).items() if not isinstance(member, property)}
    assert sorted(reference()[name]) == sorted(methods)


def test_methods_are_public_if_sknode_defines_them():
    methods = members(sknode.NODEClassifier)
    assert {"fit", "predict_proba", "trajectory"} <= set(methods)
    assert {"score", "get_params", "set_fit_request"}.isdisjoint(methods)
    assert {"accepted", "add"} <= set(members(Stats))
    assert {"train", "parameters", "to"}.isdisjoint(members(ODEBlock))


def test_an_error_counts_as_raised_if_the_body_says_so():
    assert raised_by(ODEBlock) == {"ValueError"}
    assert raised_by(ODEBlock.forget) == set()
    assert raised_by(sknode.export_onnx) == {"TypeError"}
