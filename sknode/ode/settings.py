"""The settings of a solve: declared, checked and resolved in one place.

What relays them takes ``**settings: Unpack[SolverSettings]``, and is decorated by `with_settings`
if users call it. A new setting is declared in `SolverSettings`, has its default, its check and its
description in `SETTINGS`, and is used as `Settings` has it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from inspect import Parameter, Signature, signature
from math import ceil
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack, cast

import torch
from torch import Tensor

from .._checks import (
    check_choice,
    check_count,
    check_flag,
    is_number,
    is_tolerance,
    unexpected_keyword,
)
from .._docstrings import entry, filled, listed, shown
from .tableau import TABLEAUS, Tableau

__all__ = [
    "ADJOINTS",
    "MOST_STEPS",
    "SETTINGS",
    "Method",
    "Setting",
    "Settings",
    "SolverSettings",
    "describing_settings",
    "plain_settings",
    "resolve",
    "with_settings",
]

ADJOINTS = ("discrete", "continuous", None)
ENGINES = ("auto", "native", "eager")
# The discrete adjoint keeps every step in memory.
MOST_STEPS = 1_000_000

F = TypeVar("F", bound=Callable)
C = TypeVar("C", bound=type)


class SolverSettings(TypedDict, total=False):
    """How to solve; `sknode.ode.odeint` says what each setting means."""

    solver: str
    tolerance: float | tuple[float, float]
    n_steps: int | None
    max_steps: int
    adjoint: str | None
    adjoint_tolerance: float | tuple[float, float] | None
    engine: str
    kinetic_energy: bool


class Setting(NamedTuple):
    """The default of a setting, its check, and how it is described.

    `check` is called with the name and a value, and returns the value in plain Python's types or
    raises a ValueError. `kind` and `text` are for docstrings.
    """

    default: Any
    check: Callable[[str, Any], Any]
    kind: str
    text: str


def _choice(known: Iterable[str | None]) -> Callable[[str, Any], str | None]:
    def check(name: str, value: Any) -> str | None:
        check_choice(name, value, known)
        return None if value is None else str(value)

    return check


def _number_or_pair(name: str, value: Any) -> float | tuple[float, float]:
    if not is_tolerance(value):
        raise ValueError(f"{name} must be a positive number or a pair of them, got {value!r}")
    if not isinstance(value, tuple | list):
        return float(value)
    rtol, atol = value
    return float(rtol), float(atol)


def _number_of_steps(name: str, value: Any) -> int:
    return check_count(name, value, MOST_STEPS)


def _flag(name: str, value: Any) -> bool:
    check_flag(name, value)
    return value


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


SETTINGS: dict[str, Setting] = {
    "solver": Setting(
        "dopri5",
        _choice(TABLEAUS),
        listed(TABLEAUS),
        "The Runge-Kutta method. It and the settings that follow are as in `sknode.ode.odeint`, "
        "which says more of each.",
    ),
    "tolerance": Setting(
        1e-3,
        _number_or_pair,
        "float or (float, float)",
        "Relative and absolute tolerance of the adaptive methods: one number for both or a pair.",
    ),
    "n_steps": Setting(
        None,
        _or_none(_number_of_steps),
        "int or None",
        "Number of equal steps. None: steps chosen by error, or for the methods without an error "
        "estimate a single one.",
    ),
    "max_steps": Setting(
        1000,
        _number_of_steps,
        "int",
        "Adaptive methods give up after so many steps, rejected ones included.",
    ),
    "adjoint": Setting(
        "discrete",
        _choice(ADJOINTS),
        listed(ADJOINTS),
        "How the backward pass differentiates.",
    ),
    "adjoint_tolerance": Setting(
        None,
        _or_none(_number_or_pair),
        "float, (float, float) or None",
        "Tolerance of the continuous adjoint; None: that of the solve.",
    ),
    "engine": Setting(
        "auto",
        _choice(ENGINES),
        listed(ENGINES),
        "What solves: the compiled engine, torch, or the former where it serves.",
    ),
    "kinetic_energy": Setting(
        False,
        _flag,
        "bool",
        "Whether to compute each row's kinetic energy on its way, a penalty on which makes for few "
        "steps.",
    ),
}


def plain_settings(given: Mapping[str, Any]) -> SolverSettings:
    """Return settings in plain Python's types, say numbers that were NumPy's.

    Raises a ValueError if a value is not allowed.
    """
    plain = {name: SETTINGS[name].check(name, value) for name, value in given.items()}
    return cast(SolverSettings, plain)


PLAIN_DEFAULTS = plain_settings({name: setting.default for name, setting in SETTINGS.items()})


def with_settings(before: str | None = None) -> Callable[[F], F]:
    """Make a function that takes `**settings` look and complain as if it named each of them.

    Its signature shows them where they stand: before the keyword-only parameter that is named, or
    at the end.
    """

    def decorate(function: F) -> F:
        shown = _with_settings_named(signature(function), before)
        known = frozenset(shown.parameters)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            if not known.issuperset(kwargs):
                unknown = next(name for name in kwargs if name not in known)
                raise unexpected_keyword(function.__qualname__, unknown)
            return function(*args, **kwargs)

        call.__signature__ = shown  # type: ignore[attr-defined]
        return cast(F, call)

    return decorate


def _with_settings_named(own: Signature, before: str | None) -> Signature:
    *parameters, _ = own.parameters.values()
    names = [parameter.name for parameter in parameters]
    place = len(names) if before is None else names.index(before)
    settings = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=SETTINGS[name].default,
            annotation=annotation,
        )
        for name, annotation in SolverSettings.__annotations__.items()
    ]
    return own.replace(parameters=[*parameters[:place], *settings, *parameters[place:]])


def describing_settings(cls: C) -> C:
    """Write the settings into a class's docstring, in place of the line ``{settings}``."""
    entries = [
        entry(name, f"{setting.kind}, default={shown(setting.default)}", setting.text)
        for name, setting in SETTINGS.items()
    ]
    # With python -OO there is none.
    cls.__doc__ = cls.__doc__ and filled(cls.__doc__, "settings", entries)
    return cls


class Method(NamedTuple):
    """Everything about a solve but the field and the state.

    `rtol` and `atol` are the relative and the absolute tolerance; `n_steps` is the number of steps
    of a fixed grid, and None for adaptive steps; `first_step` is None where each row chooses its
    own.
    """

    tableau: Tableau
    rtol: float
    atol: float
    n_steps: int | None
    max_steps: int
    first_step: float | Tensor | None = None

    @property
    def adaptive(self) -> bool:
        """Whether each row chooses its own steps."""
        return self.tableau.adaptive and self.n_steps is None

    def stretched(self, share: float) -> "Method":
        """Return the method for a way so many times as long, with steps that are no larger."""
        if self.n_steps is None:
            return self
        # Something is taken off lest rounding turn a share of 2.0000000000000004 into 3 steps.
        return self._replace(n_steps=max(1, ceil(self.n_steps * share - 1e-9)))

    def grid(self, times: list[float]) -> list[float]:
        """Return the ends of the steps of a fixed grid through the times."""
        if self.n_steps is None:
            return times
        return torch.linspace(times[0], times[-1], self.n_steps + 1, dtype=torch.float64).tolist()


class Settings(NamedTuple):
    """How to solve forward, how to solve the continuous adjoint, which adjoint to take, and where.

    `engine` is "auto", "native" or "eager"; `kinetic_energy` tells whether it is wanted.
    """

    method: Method
    backward_method: Method
    adjoint: str | None
    engine: str
    kinetic_energy: bool

    def method_of_stretch(self, start: float, stop: float, times: list[float]) -> Method:
        """Return the backward method for one stretch, with its share of the steps of a grid."""
        return self.backward_method.stretched(abs(stop - start) / abs(times[-1] - times[0]))


def resolve(
    first_step: float | Tensor | None = None, **settings: Unpack[SolverSettings]
) -> Settings:
    """Check settings, give the others their defaults, and look up what they name."""
    values: dict[str, Any] = {**PLAIN_DEFAULTS, **plain_settings(settings)}
    _check_first_step(first_step)
    rtol, atol = _pair(values["tolerance"])
    method = Method(
        TABLEAUS[values["solver"]],
        rtol,
        atol,
        values["n_steps"],
        values["max_steps"],
        first_step,
    )
    if values["adjoint_tolerance"] is not None:
        rtol, atol = _pair(values["adjoint_tolerance"])
    return Settings(
        method,
        method._replace(rtol=rtol, atol=atol, first_step=None),
        values["adjoint"],
        values["engine"],
        values["kinetic_energy"],
    )


def _pair(value: float | tuple[float, float]) -> tuple[float, float]:
    """Return the relative and the absolute tolerance, which are the same if there is one."""
    return value if isinstance(value, tuple) else (value, value)


def _check_first_step(value: Any) -> None:
    if isinstance(value, Tensor):
        # On an accelerator an earlier solve found the step, and a look at it would wait for that.
        fits = value.ndim == 0 and (not value.is_cpu or is_number(value.item(), above=0.0))
    else:
        fits = value is None or is_number(value, above=0.0)
    if not fits:
        raise ValueError(f"first_step must be a positive number or None, got {value!r}")
