import inspect

import numpy as np
import pytest
import torch

from sknode.modules import ImageNetwork, MLPField, NODENetwork, ODEBlock
from sknode.ode import odeint
from sknode.ode.settings import SETTINGS, SolverSettings, plain_settings, resolve

DEFAULTS = {name: setting.default for name, setting in SETTINGS.items()}
# What users call, with its operands.
CALLED = {
    odeint: (MLPField(2), torch.ones(3, 2), torch.tensor([0.0, 1.0])),
    ODEBlock: (MLPField(2),),
    NODENetwork: (4, 3),
    ImageNetwork: ((1, 4, 4), 3),
}
all_callables = pytest.mark.parametrize("called", CALLED, ids=lambda called: called.__name__)
all_settings = pytest.mark.parametrize("name", SETTINGS)


def test_every_setting_declared_has_a_default_and_a_check():
    assert list(SETTINGS) == list(SolverSettings.__annotations__)


@all_callables
def test_the_signature_shows_every_setting_with_its_default(called):
    parameters = inspect.signature(called).parameters.values()
    assert inspect.Parameter.VAR_KEYWORD not in {each.kind for each in parameters}
    shown = [each for each in parameters if each.name in SETTINGS]
    assert [(each.name, each.default) for each in shown] == list(DEFAULTS.items())
    assert {each.kind for each in shown} == {inspect.Parameter.KEYWORD_ONLY}
    assert {each.name: each.annotation for each in shown} == SolverSettings.__annotations__


@all_callables
def test_a_misspelt_setting_is_refused_as_python_refuses_it(called):
    name = called.__name__ if inspect.isfunction(called) else f"{called.__name__}.__init__"
    message = rf"^{name}\(\) got an unexpected keyword argument 'solvr'$"
    with pytest.raises(TypeError, match=message):
        called(*CALLED[called], solvr="rk4")


@pytest.mark.parametrize("network", [NODENetwork, ImageNetwork])
def test_a_misspelt_setting_is_refused_by_residual_blocks_too(network):
    with pytest.raises(TypeError, match="unexpected keyword argument 'solvr'"):
        network(*CALLED[network], n_blocks=2, solvr="rk4")


@all_callables
@all_settings
def test_every_setting_is_checked_wherever_it_is_given(called, name):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        called(*CALLED[called], **{name: object()})


@all_callables
def test_the_defaults_may_be_given_as_they_are_shown(called):
    called(*CALLED[called], **DEFAULTS)
    assert resolve(**DEFAULTS) == resolve()


@pytest.mark.parametrize("network", [NODENetwork, ImageNetwork])
def test_a_network_solves_with_the_settings_it_is_given(network):
    settings = {
        "solver": "tsit5",
        "tolerance": (1e-2, 1e-4),
        "n_steps": 3,
        "max_steps": 50,
        "adjoint": "continuous",
        "adjoint_tolerance": 1e-5,
        "engine": "eager",
        "kinetic_energy": True,
    }
    assert set(settings) == set(SETTINGS)
    assert network(*CALLED[network], **settings).block.settings == resolve(**settings)


def test_settings_in_numpys_types_become_plain_ones():
    plain = plain_settings(
        {
            "solver": np.str_("rk4"),
            "tolerance": [np.float32(0.5), np.int64(1)],
            "n_steps": np.int64(3),
            "adjoint": None,
            "adjoint_tolerance": np.float64(0.25),
        }
    )
    # What repr() shows tells NumPy's types from Python's.
    assert repr(plain) == (
        "{'solver': 'rk4', 'tolerance': (0.5, 1.0), 'n_steps': 3, 'adjoint': None, "
        "'adjoint_tolerance': 0.25}"
    )


def test_a_misspelt_setting_is_not_made_plain():
    with pytest.raises(KeyError, match="solvr"):
        plain_settings({"solvr": "rk4"})
