"""Neural ODEs, and residual networks beside them, as scikit-learn estimators."""

from . import classifier, image, regressor, resnet
from .classifier import *
from .image import *
from .regressor import *
from .resnet import *

__all__: list[str] = []
__all__ += classifier.__all__
__all__ += image.__all__
__all__ += regressor.__all__
__all__ += resnet.__all__
