"""What can be looked into: a fitted estimator, or a pipeline that ends in one."""

from typing import Any, TypeVar

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from .. import estimators
from .._checks import check_integer
from ..estimators.base import BaseNetwork

__all__ = ["check_member", "parts_of"]

N = TypeVar("N", bound=BaseNetwork)


def parts_of(who: str, estimator: Any, kind: type[N]) -> tuple[Pipeline | None, N]:
    """Return what is done to the rows before, and the fitted estimator of a kind.

    Raises
    ------
    TypeError
        If it is of another kind; it says what `who` takes.
    NotFittedError
        If it is not fitted.
    """
    before = None
    if isinstance(estimator, Pipeline):
        before = estimator[:-1]
        estimator = estimator[-1]
    if not isinstance(estimator, kind):
        known = [getattr(estimators, name) for name in estimators.__all__]
        names = ", ".join(each.__name__ for each in known if issubclass(each, kind))
        raise TypeError(
            f"{who} takes {names} or a Pipeline that ends in one, got {type(estimator).__name__}"
        )
    check_is_fitted(estimator)
    return before, estimator


def check_member(estimator: BaseNetwork, member: Any) -> int:
    """Return the number of a member, or raise a ValueError if there is none of it."""
    return check_integer("member", member, 0, estimator.net_.module_.n_members - 1)
