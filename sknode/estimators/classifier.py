"""Classification."""

from ._classification import Classification
from ._node import BaseNODE
from ._params import documented, with_parameters

__all__ = ["NODEClassifier"]


@documented
@with_parameters("augment_dim", lift_frequency=0.1)
@with_parameters(label_smoothing=0.02, class_weight=None)
class NODEClassifier(Classification, BaseNODE):
    """Classifier by a Neural Ordinary Differential Equation (not an oblivious decision ensemble).

    It solves z' = f(z, t; θ) from z(0), the standardised row, lifted and augmented with zeros, to
    z(1), and reads the classes' log-odds off z(1) by a linear map. Each row is solved with step
    sizes of its own, so its prediction does not depend on the rows beside it.

    Labels may be numbers, strings or booleans. Where y is a matrix of zeros and ones, rows may
    have several labels, each with a probability of its own.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels, or the columns of a matrix of labels.
    target_type_ : {"binary", "multiclass", "multilabel-indicator"}
        What kind of targets it was fitted to, in scikit-learn's terms.
    net_ : skorch.NeuralNet
        The trained net; `net_.module_` is the torch module.
    scaling_ : Scaling
        `center` and `scale`, each of shape (n_features,), by which the inputs are brought to size
        one, and whether that `clips`.
    periodic_features_ : ndarray of int, shape (n_periodic,)
        The features that take more than two values, of which the periodic lift has functions;
        of sparse X none.
    {attributes}

    See Also
    --------
    NODERegressor : The same for real-valued targets.

    References
    ----------
    .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
       NeurIPS 2018.
    .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.
    .. [3] Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular Deep
       Learning", NeurIPS 2022.
    .. [4] Finlay, Jacobsen, Nurbekyan, Oberman, "How to Train Your Neural ODE: the World of
       Jacobian and Kinetic Regularization", ICML 2020.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknode import NODEClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = NODEClassifier(max_epochs=30, random_state=0).fit(X, y)
    >>> classifier.predict(X[:3])
    array([0, 0, 0])
    >>> classifier.score(X, y) > 0.95
    True
    """
