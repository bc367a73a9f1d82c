import pytest

from sknode.ode import native


@pytest.fixture(autouse=True, params=["native", "eager"])
def engine(request, monkeypatch):
    """Run every test of the core on both engines; fields without a dense form know only one."""
    if request.param == "eager":
        monkeypatch.setattr(native, "ENGINE", None)
    elif native.ENGINE is None:
        pytest.skip("the native engine was not built")
    return request.param
