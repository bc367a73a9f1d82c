import torch

import sknode
from sknode.ode import native


def test_the_versions_tell_the_engine_and_its_instruction_set(capsys):
    sknode.show_versions()
    printed = capsys.readouterr().out
    assert f"torch: {torch.__version__}" in printed
    if native.ENGINE is not None:
        name = native.ENGINE.__name__.rpartition("_engine_")[2]
        assert f"engine: native ({name}) for dense fields" in printed


def test_the_versions_tell_that_there_is_no_native_engine(capsys, monkeypatch):
    monkeypatch.setattr(native, "ENGINE", None)
    sknode.show_versions()
    assert "engine: eager; the native engine was not built" in capsys.readouterr().out
