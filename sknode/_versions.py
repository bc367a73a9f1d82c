"""What runs here."""

import platform
from importlib.metadata import PackageNotFoundError, version

from .ode import native

__all__ = ["show_versions", "versions"]

PACKAGES = (
    "sknode",
    "torch",
    "skorch",
    "scikit-learn",
    "torchdiffeq",
    "numpy",
    "scipy",
    "safetensors",
)


def show_versions() -> None:
    """Print the system, the versions of what sknode builds on, and the engine that solves.

    Examples
    --------
    >>> import sknode
    >>> sknode.show_versions()
    system: ...
    engine: ...
    """
    print(f"system: {platform.platform()}, Python {platform.python_version()}")
    for package, number in versions().items():
        print(f"{package}: {number}")
    print(f"engine: {_engine()}")


def versions() -> dict[str, str]:
    """Return the versions of what sknode builds on."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _engine() -> str:
    if native.ENGINE is None:
        return "eager; the native engine was not built"
    name = native.ENGINE.__name__.rpartition("_engine_")[2]
    return f"native ({name}) for dense fields on the CPU, eager otherwise"
