"""What is shown while a network is trained."""

import io
import re

import pytest
from rich.console import Console
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sknode import NODEClassifier
from sknode.training import progress
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
IRIS = load_iris(return_X_y=True)


class Failing(Callback):
    """Fails at the end of an epoch."""

    def on_epoch_end(self, net, **kwargs):
        raise ZeroDivisionError


def test_nothing_is_shown_unless_asked(capfd):
    NODEClassifier(**QUICK).fit(*IRIS).predict(IRIS[0])
    assert capfd.readouterr() == ("", "")


def test_ten_plain_lines_are_shown_where_there_is_no_terminal(capsys):
    settings = {**QUICK, "max_epochs": 40, "early_stopping": True, "n_iter_no_change": 40}
    NODEClassifier(**settings, verbose=1).fit(*IRIS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    number = r"[\d.,e+-]+"
    for i, line in enumerate(lines, start=1):
        assert re.fullmatch(
            rf"epoch {4 * i}/40: loss {number}, validation score {number}, nfe {number} \+ "
            rf"{number}, {number} rows/s, \d+ s left",
            line,
        )
    assert lines[-1].endswith("0 s left")


def test_few_epochs_have_a_line_each(capsys):
    NODEClassifier(**QUICK, verbose=1).fit(*IRIS)
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_terminal_sees_one_line_that_changes(monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda: console)
    monkeypatch.setattr(progress, "REFRESHES_PER_SECOND", 1e9)
    NODEClassifier(**QUICK, verbose=1).fit(*IRIS)
    shown = out.getvalue()
    assert "epoch 3/3" in shown
    assert "nfe" in shown
    assert shown.count("\n") == 1
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert shown.index(hidden) < shown.index(visible)


def test_a_terminal_sees_long_epochs_go_by(monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(progress, "Console", lambda: console)
    monkeypatch.setattr(progress, "REFRESHES_PER_SECOND", 1e9)
    NODEClassifier(**{**QUICK, "max_epochs": 1, "batch_size": 10}, verbose=1).fit(*IRIS)
    bars = set(re.findall("[━╸╺ ]{20}", out.getvalue()))
    assert len(bars) >= 5


def test_a_terminal_gets_its_cursor_back_after_a_failure(monkeypatch):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    monkeypatch.setattr(progress, "Console", lambda: console)
    with pytest.raises(ZeroDivisionError):
        NODEClassifier(**QUICK, verbose=1, callbacks=[Failing()]).fit(*IRIS)
    assert "\x1b[?25h" in out.getvalue()


def test_more_verbosity_shows_a_row_for_every_epoch(capsys):
    NODEClassifier(**QUICK, verbose=2, early_stopping=True).fit(*IRIS)
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 3
    assert {"epoch", "train_loss", "valid_loss", "valid_score", "nfe_forward"} <= set(
        header.split()
    )
    assert "\x1b" not in header
