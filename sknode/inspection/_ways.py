"""The ways of rows through a network, on a plane that can be drawn."""

from copy import deepcopy
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from torch import Tensor

from .._vectors import check_vector
from ..estimators.tabular import BaseRowNetwork
from ..modules import MLPField
from ..modules.residual import ResidualBlocks
from ..training.threads import one_thread
from ._fitted import check_member, parts_of
from ._labels import labels_of, values_of
from ._plane import Plane, check_dims, names_of, plane_of

__all__ = ["FINE", "Ways", "asked_of", "check_times", "derivative", "ways_of"]

COARSE = np.linspace(0, 1, 5)
# 48 parts: the corners of the way through a residual network of 1 to 4, 6 or 8 blocks are in it.
FINE = np.linspace(0, 1, 49)
# An animation with a frame for each of them runs for eight minutes.
MOST_TIMES = 10_000
# States that have moved for so long still have finite squares.
LAST_TIME = 1e100


class Asked(NamedTuple):
    """What is to be followed, as it must be.

    Attributes
    ----------
    before : Pipeline or None
        What is done to the rows before.
    fitted : BaseRowNetwork
    n_dims : int
        The dimensions of the state.
    X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
        The rows, which the estimator checks.
    y : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,) or None
        None if y are numbers.
    times : ndarray of shape (n_times,)
    member : int
    dims : tuple of two ints or None
        None: the principal components, or over time.
    """

    before: Pipeline | None
    fitted: BaseRowNetwork
    n_dims: int
    X: Any
    y: np.ndarray | None
    classes: np.ndarray | None
    times: np.ndarray
    member: int
    dims: tuple[int, int] | None


class Ways(NamedTuple):
    """The ways of rows from z(0) on, as they are drawn.

    Attributes
    ----------
    model : BaseRowNetwork
        A copy of the estimator.
    plane : Plane or None
        None if the state has one dimension, which is drawn over time.
    states : ndarray of shape (n_times, n_samples, 2)
        The coordinates on the plane, or the times and the states.
    times : ndarray of shape (n_times,)
    y : ndarray of shape (n_samples,) or None
    classes : ndarray of shape (n_classes,) or None
        None if y are numbers.
    explained : ndarray of shape (2,) or None
        The part of the states' variance that lies along each coordinate.
    names : tuple of two strings
        Those of the coordinates.
    """

    model: BaseRowNetwork
    plane: Plane | None
    states: np.ndarray
    times: np.ndarray
    y: np.ndarray | None
    classes: np.ndarray | None
    explained: np.ndarray | None
    names: tuple[str, str]

    def kept(self) -> dict[str, Any]:
        """Return those arguments of a display of states that do not depend on what it draws."""
        return {
            "states": self.states,
            "y": self.y,
            "classes": self.classes,
            "components": None if self.plane is None else self.plane.components,
            "xlabel": self.names[0],
            "ylabel": self.names[1],
        }


def asked_of(
    display: str, estimator: Any, X: Any, y: Any, times: Any, member: Any, dims: Any
) -> Asked:
    """Check what is asked for, before any work.

    Without `times` they are few, or many if the state has one dimension.
    """
    before, fitted = parts_of(display, estimator, BaseRowNetwork)
    n_dims = _fields_of(fitted)[0].dense_form().n_dims
    member = check_member(fitted, member)
    dims = check_dims(dims, n_dims)
    y, classes = _check_labels(fitted, X, y)
    if times is None:
        times = FINE if n_dims == 1 else COARSE
    times = check_times(times, MOST_TIMES, LAST_TIME)
    return Asked(before, fitted, n_dims, X, y, classes, times, member, dims)


def check_times(times: Any, most: int, last: float) -> np.ndarray:
    """Return times from 0 to the last one, in order, or raise a ValueError if they are none."""

    def allowed(t: np.ndarray) -> bool:
        few = 0 < t.size <= most
        return few and t[0] >= 0 and t[-1] <= last and bool((np.diff(t) > 0).all())

    must_be = f"one-dimensional, strictly increasing and from 0 to {last:g}, at most {most}"
    return check_vector("times", times, must_be, allowed)


def ways_of(asked: Asked) -> Ways:
    """Follow rows through a fitted estimator, which stays as it is."""
    # A residual block keeps what it last cost.
    model = deepcopy(asked.fitted)
    X = asked.before.transform(asked.X) if asked.before else asked.X
    states = model.trajectory(X, asked.times, member=asked.member).astype(np.float64)
    if asked.n_dims == 1:
        plane = None
        drawn = np.stack(np.broadcast_arrays(asked.times[:, None], states[..., 0]), axis=-1)
        explained = None
        names = ("t", "z")
    else:
        plane = plane_of(states.reshape(-1, asked.n_dims), asked.dims)
        drawn = plane.project(states)
        explained = drawn.var(axis=(0, 1)) / (states.var(axis=(0, 1)).sum() or 1.0)
        names = names_of(asked.dims, explained)
    return Ways(model, plane, drawn, asked.times, asked.y, asked.classes, explained, names)


def derivative(model: BaseRowNetwork, member: int, t: float, states: np.ndarray) -> np.ndarray:
    """Return dz/dt of a member at states (n_states, n_dims).

    The k-th of n residual blocks moves z by f_k(z) in a time of 1/n, from k/n on.
    """
    network = model.net_.module_
    fields = _fields_of(model)
    field = fields[min(int(t * len(fields)), len(fields) - 1)]
    z = torch.as_tensor(states).to(next(network.parameters()))
    with torch.no_grad(), one_thread():
        moved: Tensor = field.eval()(z.new_tensor(t), z.repeat(network.n_members, 1))
    moved = moved.view(network.n_members, *z.shape)[member]
    return len(fields) * moved.cpu().numpy().astype(np.float64)


def _fields_of(model: BaseRowNetwork) -> list[MLPField]:
    """Return the field, or those of the residual blocks."""
    block = model.net_.module_.block
    if isinstance(block, ResidualBlocks):
        return [cast(MLPField, step.field) for step in block.ordered]
    return [block.field]


def _check_labels(
    model: BaseRowNetwork, X: Any, y: Any
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return what the rows are coloured by, and the classes if it is that."""
    if y is None:
        return None, None
    if not is_classifier(model):
        return values_of(X, y), None
    y = labels_of(X, y)
    classes = set(model.classes_.tolist())
    other = [label for label in y.tolist() if label not in classes]
    if other:
        raise ValueError(f"y must consist of the classes {model.classes_}, got also {other[:1]}")
    return y, model.classes_
