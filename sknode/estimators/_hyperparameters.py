"""Hyperparameters as annotated fields of a class, and the constructor that takes them."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, dataclass_transform

from .._checks import unexpected_keyword
from .parameters import PARAMETERS

__all__ = ["Hyperparameters", "fields_of", "fitted"]

_FITTED = object()


def fitted(*, init: Literal[False] = False) -> Any:
    """Mark a field that `fit` sets, which is no hyperparameter and has no default."""
    return _FITTED


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(fitted,))
class Hyperparameters:
    """Base of classes whose annotated fields are what their constructor takes, by name.

    A default is what the class has under that name, so that a class gives an inherited
    hyperparameter another default as it would any attribute. The constructor keeps what it is
    given, and does nothing more, as scikit-learn wants it.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give the class its constructor, unless it or a base of it has one of its own."""
        super().__init_subclass__(**kwargs)
        for name in inspect.get_annotations(cls):
            if vars(cls).get(name) is _FITTED:
                delattr(cls, name)
        # Only the constructors that are made here have a signature that was set.
        if cls.__init__ is object.__init__ or hasattr(cls.__init__, "__signature__"):
            fields = fields_of(cls)
            defaults = {name: getattr(cls, name) for name in PARAMETERS if name in fields}
            cls.__init__ = _constructor(cls.__qualname__, defaults)  # type: ignore[method-assign]


def fields_of(cls: type) -> set[str]:
    """Return the names that a class or a base of it annotates."""
    return {name for base in cls.__mro__ for name in inspect.get_annotations(base)}


def _constructor(owner: str, defaults: dict[str, Any]) -> Callable[..., None]:
    def construct(self: Any, **params: Any) -> None:
        unknown = params.keys() - defaults.keys()
        if unknown:
            raise unexpected_keyword(qualname, min(unknown))
        vars(self).update(defaults)
        vars(self).update(params)

    qualname = f"{owner}.__init__"
    construct.__name__ = "__init__"
    construct.__qualname__ = qualname
    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature(
        [
            inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(inspect.Parameter(n, keyword, default=value) for n, value in defaults.items()),
        ]
    )
    construct.__signature__ = signature  # type: ignore[attr-defined]
    return construct
