import pytest


@pytest.fixture(autouse=True)
def figures():
    """Draw without a screen, and leave no figure behind."""
    try:
        import matplotlib as mpl
        import matplotlib.pyplot as plt
    except ImportError:
        yield
        return
    before = mpl.get_backend()
    mpl.use("Agg")
    yield
    plt.close("all")
    mpl.use(before)
