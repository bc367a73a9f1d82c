"""Neural Ordinary Differential Equations as scikit-learn estimators."""

__version__ = "0.1.0"
