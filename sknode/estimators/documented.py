"""What the docstrings of the estimators have in common, written into each of them."""

import inspect
import re
import textwrap
from typing import TypeVar

from .._docstrings import WIDTH, entry, filled, shown
from .attributes import ATTRIBUTES, attributes_of
from .parameters import PARAMETERS

__all__ = ["documented"]

NET = ("skorch.NeuralNet", "The trained net; `net_.module_` is the torch module.")
# By the number with which docstrings and descriptions of hyperparameters cite them.
REFERENCES = {
    1: 'Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations", NeurIPS '
    "2018.",
    2: 'Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.',
    3: 'Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep '
    'Learning", NeurIPS 2022.',
    4: 'Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of Jacobian '
    'and Kinetic Regularization", ICML 2020.',
    5: 'He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.',
}

T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Write what estimators share into a docstring.

    It stands where the docstring says `{parameters}`, `{attributes}` and `{references}`; the last
    are those that are cited by then.
    """
    if cls.__doc__ is None:
        # With python -OO there is none.
        return cls
    signature = inspect.signature(cls).parameters
    parameters = [
        entry(
            name,
            f"{PARAMETERS[name].type}, default={shown(parameter.default)}",
            PARAMETERS[name].description,
        )
        for name, parameter in signature.items()
    ]
    attributes = [entry("net_", *NET)]
    attributes += [
        entry(name, ATTRIBUTES[name].type, ATTRIBUTES[name].description)
        for name in attributes_of(cls)
    ]
    doc = filled(filled(cls.__doc__, "parameters", parameters), "attributes", attributes)
    cited = sorted({int(number) for number in re.findall(r"\[(\d)\]_", doc)})
    references = [
        textwrap.fill(f".. [{number}] {REFERENCES[number]}", WIDTH, subsequent_indent="   ")
        for number in cited
    ]
    cls.__doc__ = filled(doc, "references", references)
    return cls
