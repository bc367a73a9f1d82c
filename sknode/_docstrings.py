"""What is written into docstrings from tables, in numpydoc's form."""

import textwrap
from collections.abc import Iterable
from typing import Any

__all__ = ["WIDTH", "entry", "filled", "listed", "shown"]

# The text of an entry within the docstring of a class fits the package's lines.
WIDTH = 96


def shown(value: Any) -> str:
    """Return a value as a default is written."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def listed(names: Iterable[str | None]) -> str:
    """Return names as a set of choices."""
    return "{" + ", ".join(map(shown, names)) + "}"


def entry(name: str, kind: str, description: str) -> str:
    """Return an entry of a list of parameters or attributes."""
    indent = " " * 4
    text = textwrap.fill(description, WIDTH, initial_indent=indent, subsequent_indent=indent)
    return f"{name} : {kind}\n{text}"


def filled(doc: str, place: str, entries: list[str]) -> str:
    """Return a docstring with entries where it says `{place}`."""
    return doc.replace("{" + place + "}", textwrap.indent("\n".join(entries), " " * 4).strip())
