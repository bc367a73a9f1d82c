from tests.ode.conftest import engine as engine
