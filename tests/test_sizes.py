"""Files and classes stay small, and a line assigns one thing."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sknode"
TEXTS = {
    str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {file: ast.parse(text) for file, text in TEXTS.items()}
CLASSES = {
    f"{file}::{node.name}": node.end_lineno - node.lineno + 1
    for file, tree in TREES.items()
    for node in ast.walk(tree)
    if isinstance(node, ast.ClassDef)
}
MOST_LINES_OF_A_FILE = 350
MOST_LINES_OF_A_CLASS = 200


def is_crowded(line: ast.Assign) -> bool:
    """Say whether a line assigns several values to several names, and reads none of the names.

    A line that does, such as ``a, b = b, a``, may need all of the old values at once.
    """
    groups = [target for target in line.targets if isinstance(target, ast.Tuple)]
    if not (groups and isinstance(line.value, ast.Tuple)):
        return False
    assigned = {ast.unparse(name) for group in groups for name in group.elts}
    read = {ast.unparse(node) for node in ast.walk(line.value)}
    return assigned.isdisjoint(read)


def crowded_lines(tree: ast.Module) -> list[str]:
    """Return the lines of a file that could be several, with their numbers."""
    lines = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    return [f"{line.lineno}: {ast.unparse(line)}" for line in lines if is_crowded(line)]


@pytest.mark.parametrize("file", TEXTS)
def test_no_file_is_longer_than_350_lines(file):
    assert len(TEXTS[file].splitlines()) <= MOST_LINES_OF_A_FILE


@pytest.mark.parametrize("name", CLASSES)
def test_no_class_is_longer_than_200_lines(name):
    assert CLASSES[name] <= MOST_LINES_OF_A_CLASS


@pytest.mark.parametrize("file", TREES)
def test_a_line_assigns_one_thing(file):
    assert crowded_lines(TREES[file]) == []


@pytest.mark.parametrize(
    "line", ["a, b = 1, 2", "self.x, self.y = x, y", "a, (b, c) = f(), g()", "a, b = c = d, e"]
)
def test_a_tuple_on_both_sides_is_several_assignments(line):
    assert crowded_lines(ast.parse(line)) != []


@pytest.mark.parametrize(
    "line",
    ["a = b = 1", "a, b = f()", "a, b = b, a", "a, b = b, a + b", "a = 1, 2", "x[i], y = y, 1"],
)
def test_swaps_and_values_that_are_taken_apart_are_one_assignment(line):
    assert crowded_lines(ast.parse(line)) == []
