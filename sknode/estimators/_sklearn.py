"""What the estimators inherit from scikit-learn."""

from collections.abc import Callable
from typing import Any, Self

# mypy takes it for true, and nothing else does.
MYPY = False

if MYPY:
    # scikit-learn has no types. A class with a base that mypy cannot see takes any argument, a
    # misspelt one too; these it sees, and of the rest it knows nothing.

    class BaseEstimator:
        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def __sklearn_tags__(self) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...

    class ClassifierMixin:
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float: ...

    class RegressorMixin:
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float: ...

    class CallbackSupportMixin:
        def set_callbacks(self, *callbacks: Any) -> Self: ...

    def with_callbacks(method: Callable) -> Callable: ...

else:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    try:
        from sklearn.callback import CallbackSupportMixin, with_callbacks
    except ImportError:
        # There are callbacks from version 1.9 on.
        class CallbackSupportMixin:
            """Nothing to support."""

        def with_callbacks(method: Callable) -> Callable:
            """Return the method as it is."""
            return method


__all__ = [
    "BaseEstimator",
    "CallbackSupportMixin",
    "ClassifierMixin",
    "RegressorMixin",
    "with_callbacks",
]
