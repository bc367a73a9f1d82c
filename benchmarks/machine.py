"""What a benchmark has run on, for the line below its table."""

import platform

import sklearn
import torch

import sknode


def machine() -> str:
    """Return the processor and the versions that figures depend on."""
    return (
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, "
        f"scikit-learn {sklearn.__version__}, sknode {sknode.__version__}"
    )
