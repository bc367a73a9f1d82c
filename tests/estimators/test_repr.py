"""What a notebook shows of an estimator."""

from importlib.metadata import metadata
from pathlib import Path

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknode import estimators

REFERENCE = Path(__file__).parents[2] / "docs" / "api" / "estimators.rst"


@pytest.mark.parametrize("name", estimators.__all__)
def test_the_diagram_links_to_the_entry_of_the_reference(name):
    _, site = metadata("sknode")["Project-URL"].split(", ")
    estimator = getattr(estimators, name)()
    link = f'href="{site}api/estimators.html#sknode.{name}"'
    assert link in estimator._repr_html_()
    assert link in make_pipeline(StandardScaler(), estimator)._repr_html_()
    assert f".. autoclass:: sknode.{name}\n" in REFERENCE.read_text()
