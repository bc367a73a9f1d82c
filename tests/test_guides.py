"""What the written pages say of code, tests and files."""

import ast
import re
import textwrap
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(path for path in (ROOT / "docs").rglob("*.rst") if "auto_examples" not in path.parts),
    ROOT / "README.md",
]
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:   .*\n|\n)+)", re.MULTILINE)


def pages(*names):
    return pytest.mark.parametrize("page", names or PAGES, ids=lambda path: Path(path).stem)


def blocks(page: Path) -> list[str]:
    return [textwrap.dedent(block) for block in BLOCK.findall(page.read_text(encoding="utf-8"))]


@pages()
def test_code_on_a_page_is_python(page):
    for block in blocks(page):
        ast.parse(block)


@pages()
def test_every_test_that_a_page_names_exists(page):
    known = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")):
        assert f"def {name}(" in known


@pages()
def test_every_file_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"\b((?:tests|benchmarks|examples|sknode|docs)/[\w./]+\.\w+)", text):
        assert "NAME" in path or (ROOT / path).exists()


def test_every_link_of_the_readme_that_stays_here_leads_somewhere():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (ROOT / link).exists()


@pages("docs/start.rst", "docs/core/index.rst", "docs/core/fields.rst", "docs/contributing.rst")
def test_the_code_of_a_page_runs_from_top_to_bottom(page):
    X, y = load_iris(return_X_y=True)
    names = {"X": X, "y": y}
    for block in blocks(ROOT / page):
        exec(block, names)
