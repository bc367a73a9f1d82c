"""What trainings were like, epoch by epoch, and what of it is drawn."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from .._checks import check_choice

__all__ = [
    "QUANTITIES",
    "History",
    "check_quantities",
    "check_x",
    "history_of",
    "panels_of",
    "quantities_of",
]

History = dict[str, np.ndarray]

REMEDY = "fit with early_stopping=True, or with X_val and y_val"


class Quantity(NamedTuple):
    """What an axis says of a quantity, and which of those with the same axis it is."""

    label: str
    kind: str = ""
    is_count: bool = False

    @property
    def title(self) -> str:
        """What an axis says that is for this one alone."""
        return f"{self.kind} {self.label}".strip()


QUANTITIES = {
    "loss": Quantity("loss", "training"),
    "validation_loss": Quantity("loss", "validation"),
    "validation_score": Quantity("validation score"),
    "nfe_forward": Quantity("evaluations per batch", "forward", is_count=True),
    "nfe_backward": Quantity("evaluations per batch", "backward", is_count=True),
    "accepted_steps": Quantity("steps per row", "accepted", is_count=True),
    "rejected_steps": Quantity("steps per row", "rejected", is_count=True),
    "learning_rate": Quantity("learning rate"),
    "seconds": Quantity("seconds per epoch", is_count=True),
}


def history_of(epochs: list[dict[str, float]]) -> History:
    """Return what the epochs have, NaN in those without."""
    return {
        quantity: np.array([epoch.get(quantity, np.nan) for epoch in epochs])
        for quantity in ("epoch", *QUANTITIES)
        if any(quantity in epoch for epoch in epochs)
    }


def quantities_of(wanted: Iterable[str] | None, histories: dict[str, History]) -> list[str]:
    """Return the quantities that are asked for, or else the usual ones."""
    if wanted is not None:
        return check_quantities(wanted, histories)
    usual = ["loss", "validation_loss", "validation_score", "nfe_forward", "nfe_backward"]
    if any(history["rejected_steps"].any() for history in histories.values()):
        usual += ["accepted_steps", "rejected_steps"]
    return [quantity for quantity in usual if _some_have(quantity, histories)]


def check_quantities(quantities: Iterable[str], histories: dict[str, History]) -> list[str]:
    """Return the quantities, each once, or raise an error if no training has one."""
    if isinstance(quantities, str | bytes) or not np.iterable(quantities):
        raise TypeError(f"quantities must be a sequence of names, got {quantities!r}")
    wanted = list(quantities)
    if not wanted:
        raise ValueError(f"quantities must be one or more of {list(QUANTITIES)}, got none")
    for quantity in wanted:
        if not isinstance(quantity, str) or quantity not in QUANTITIES:
            raise ValueError(f"quantity {quantity!r} is not known; choose from {list(QUANTITIES)}")
        if not _some_have(quantity, histories):
            raise ValueError(f"no estimator has {quantity!r} in its history_; {REMEDY}")
    return list(dict.fromkeys(wanted))


def check_x(x: str, histories: dict[str, History]) -> None:
    """Raise a ValueError if there is a history that cannot be drawn over x."""
    check_choice("x", x, ["epoch", *QUANTITIES])
    without = [name for name, history in histories.items() if x not in history]
    if without:
        raise ValueError(f"x={x!r} is not in the history_ of {', '.join(without)}; {REMEDY}")


def panels_of(quantities: list[str]) -> list[list[str]]:
    """Return the quantities of each panel: those with the same axis have one in common."""
    panels: dict[str, list[str]] = {}
    for quantity in quantities:
        panels.setdefault(QUANTITIES[quantity].label, []).append(quantity)
    return list(panels.values())


def _some_have(quantity: str, histories: dict[str, History]) -> bool:
    return any(quantity in history for history in histories.values())
