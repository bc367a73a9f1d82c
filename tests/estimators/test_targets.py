"""What can be predicted: one value or several, classes or labels, means or quantiles."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.datasets import load_diabetes, load_iris, make_multilabel_classification
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.multioutput import ClassifierChain

from sknode import NODEClassifier, NODERegressor
from tests.problems import CLASSICAL

QUICK = {**CLASSICAL, "hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


# Regression.


def test_several_targets_are_predicted_at_once():
    X, y = DIABETES
    Y = np.column_stack((y, -2 * y + 7, X[:, 2]))
    model = NODERegressor(max_epochs=200, augment_dim=2, random_state=0).fit(X, Y)
    assert model.predict(X).shape == Y.shape
    assert model.score(X, Y) > 0.6
    assert model.target_scaling_.scale == pytest.approx(Y.std(axis=0))


def test_targets_that_are_copies_of_one_are_learned_alike():
    X, y = DIABETES
    one = NODERegressor(**QUICK).fit(X, y)
    two = NODERegressor(**QUICK).fit(X, np.column_stack((y, y)))
    np.testing.assert_allclose(two.history_[0]["loss"], one.history_[0]["loss"], rtol=0.3)
    assert two.predict(X).shape == (len(y), 2)


def test_a_prediction_of_several_targets_depends_on_its_row_alone():
    X, y = DIABETES
    model = NODERegressor(**QUICK).fit(X, np.column_stack((y, y**2)))
    alone = np.concatenate([model.predict(X[i : i + 1]) for i in range(50)])
    np.testing.assert_allclose(alone, model.predict(X)[:50], rtol=1e-11)


def test_targets_of_another_number_are_refused_where_a_fit_goes_on():
    X, y = DIABETES
    model = NODERegressor(**QUICK, warm_start=True).fit(X, y)
    for go_on in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match="must have 1 targets, as in the fit before, got 2"):
            go_on(X, np.column_stack((y, y)))


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_a_quantile_leaves_its_part_of_the_targets_below(quantile):
    X, y = DIABETES
    model = NODERegressor(loss="quantile", quantile=quantile, max_epochs=100, random_state=0)
    below = (y <= model.fit(X, y).predict(X)).mean()
    assert below == pytest.approx(quantile, abs=0.06)


def test_quantiles_are_better_than_a_constant_on_new_rows():
    X, X_test, y, y_test = train_test_split(*DIABETES, random_state=0)
    model = NODERegressor(loss="quantile", quantile=0.8, random_state=0).fit(X, y)
    constant = DummyRegressor(strategy="quantile", quantile=0.8).fit(X, y)
    losses = [mean_pinball_loss(y_test, m.predict(X_test), alpha=0.8) for m in (model, constant)]
    assert losses[0] < 0.9 * losses[1]


def test_the_poisson_loss_predicts_rates():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    rate = np.exp(1 + X[:, 0] - 0.5 * X[:, 1])
    y = rng.poisson(rate)
    model = NODERegressor(loss="poisson", random_state=0).fit(X, y)
    predicted = model.predict(X)
    assert model.link_ == "log"
    assert (predicted > 0).all()
    assert np.corrcoef(np.log(predicted), np.log(rate))[0, 1] > 0.98
    assert mean_poisson_deviance(y, predicted) < 1.1 * mean_poisson_deviance(y, rate)


@pytest.mark.parametrize(("loss", "robust"), [("squared_error", False), ("absolute_error", True),
                                              ("huber", True)])  # fmt: skip
def test_robust_losses_do_not_follow_outliers(loss, robust):
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, size=(300, 1))
    y = X[:, 0].copy()
    y[:15] += 20
    model = NODERegressor(**{**CLASSICAL, "max_epochs": 150}, loss=loss, random_state=0).fit(X, y)
    bias = (model.predict(X[15:]) - y[15:]).mean()
    # A twentieth of the rows are off by twenty, which the mean follows by one.
    assert bias < 0.35 if robust else bias == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"loss": "l2"}, [1.0, 2.0], "loss must be one of 'squared_error'"),
        ({"loss": "quantile"}, [1.0, 2.0], "needs a quantile, such as quantile=0.9, got None"),
        ({"loss": "quantile", "quantile": 1.0}, [1.0, 2.0], "quantile must be a number between"),
        ({"loss": "poisson"}, [1.0, -2.0], "not negative, got -2"),
        ({"loss": "poisson"}, [0.0, 0.0], "positive mean, got only zeros"),
    ],
)
def test_a_loss_that_cannot_be_is_refused_before_training(parameters, y, message):
    model = NODERegressor(**QUICK, **parameters)
    with pytest.raises(ValueError, match=message):
        model.fit([[0.0], [1.0]], y)
    assert not hasattr(model, "n_features_in_")


# Labels.


LABELS = make_multilabel_classification(300, 10, n_classes=4, random_state=0)


def test_rows_may_have_several_labels():
    X, Y = LABELS
    model = NODEClassifier(dtype="float64", early_stopping=False, random_state=0).fit(X, Y)
    assert model.target_type_ == "multilabel-indicator"
    np.testing.assert_array_equal(model.classes_, [0, 1, 2, 3])
    assert model.score(X, Y) > 0.8
    odds = model.decision_function(X)
    np.testing.assert_allclose(model.predict_proba(X), expit(odds))
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), expit(odds))
    np.testing.assert_array_equal(model.predict(X), odds > 0)


def test_two_labels_are_not_two_classes():
    X, y = IRIS
    Y = np.column_stack((y == 0, y > 0)).astype(int)
    model = NODEClassifier(**QUICK).fit(X, Y)
    assert model.predict_proba(X).shape == model.decision_function(X).shape == (150, 2)


@pytest.mark.parametrize(
    "form",
    [
        sparse.csr_array,
        lambda Y: pytest.importorskip("pandas").DataFrame(Y),
        lambda Y: Y.astype(float),
        np.ndarray.tolist,
    ],
)
def test_labels_may_come_in_any_form(form):
    X, Y = LABELS
    expected = NODEClassifier(**QUICK).fit(X, Y)
    given = form(Y)
    model = NODEClassifier(**QUICK).fit(X, given)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.score(X, given) == expected.score(X, Y)


def test_labels_can_be_learned_in_parts_and_stopped_early():
    X, Y = LABELS
    model = NODEClassifier(**QUICK).partial_fit(X[:150], Y[:150], classes=[0, 1, 2, 3])
    model.partial_fit(X[150:], Y[150:])
    assert model.n_iter_ == 2
    stopped = NODEClassifier(random_state=0, early_stopping=True).fit(X, Y)
    assert 0 <= stopped.history_[-1]["validation_score"] <= 1


def test_a_matrix_of_classes_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"sklearn\.multioutput\.MultiOutputClassifier"):
        NODEClassifier(**QUICK).fit(IRIS[0], np.column_stack((IRIS[1], IRIS[1])))


def test_labels_and_classes_do_not_mix_where_a_fit_goes_on():
    X, y = IRIS
    Y = np.eye(3, dtype=int)[y]
    classes = NODEClassifier(**QUICK, warm_start=True).fit(X, y)
    labels = NODEClassifier(**QUICK, warm_start=True).fit(X, Y)
    for model, other in ((classes, Y), (labels, y)):
        with pytest.raises(ValueError, match="needs the classes of the fit before"):
            model.fit(X, other)
        with pytest.raises(ValueError, match="y must"):
            model.partial_fit(X, other)


def test_a_classifier_chain_takes_it():
    X, Y = LABELS
    chain = ClassifierChain(NODEClassifier(**QUICK)).fit(X, Y)
    assert chain.predict_proba(X).shape == Y.shape


def test_balanced_labels_are_weighed():
    X, Y = LABELS
    model = NODEClassifier(**QUICK, class_weight="balanced").fit(X, Y)
    plain = NODEClassifier(**QUICK).fit(X, Y)
    assert model.history_[0]["loss"] != plain.history_[0]["loss"]
    with pytest.raises(ValueError, match="cannot be a dict where rows may have several labels"):
        model.set_params(class_weight={0: 2.0}).fit(X, Y)


# Classes.


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes", "maybe"]),
        np.array(["no", "yes", "maybe"], dtype=object),
        np.array([10, -3, 7]),
        np.array([0.0, 2.0, 5.0]),
    ],
)
def test_classes_come_back_as_they_were_given(labels):
    X, y = IRIS
    given = labels[y]
    model = NODEClassifier(**QUICK).fit(X, given)
    predicted = model.predict(X)
    assert predicted.dtype == given.dtype
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    encoded = NODEClassifier(**QUICK).fit(X, np.unique(given, return_inverse=True)[1])
    np.testing.assert_array_equal(model.predict_proba(X), encoded.predict_proba(X))


def test_booleans_and_categories_are_classes():
    X, y = IRIS
    assert NODEClassifier(**QUICK).fit(X, y == 1).predict(X).dtype == bool
    pd = pytest.importorskip("pandas")
    names = pd.Series(pd.Categorical.from_codes(y, ["a", "b", "c"]))
    model = NODEClassifier(**QUICK).fit(X, names)
    assert set(model.predict(X)) <= {"a", "b", "c"}
    assert model.score(X, names) > 0.5


def test_a_dict_of_class_weights_counts_rows():
    X, y = IRIS
    named = NODEClassifier(**QUICK, class_weight={1: 3, 2: 0}).fit(X, y)
    repeated = np.array([1, 3, 0])[y]
    given = NODEClassifier(**QUICK).fit(X, y, sample_weight=repeated)
    np.testing.assert_allclose(named.predict_proba(X), given.predict_proba(X), atol=1e-12)
    with pytest.raises(ValueError, match="class_weight has none of the classes"):
        NODEClassifier(**QUICK, class_weight={"one": 2}).fit(X, y)


def test_class_weights_multiply_sample_weights():
    X, y = IRIS
    weight = np.linspace(0.1, 2, 150)
    both = NODEClassifier(**QUICK, class_weight={0: 2}).fit(X, y, sample_weight=weight)
    one = NODEClassifier(**QUICK).fit(X, y, sample_weight=weight * np.where(y == 0, 2, 1))
    np.testing.assert_allclose(both.predict_proba(X), one.predict_proba(X), atol=1e-12)


def test_label_smoothing_makes_probabilities_less_extreme():
    X, y = IRIS
    settings = {"max_epochs": 200, "random_state": 0}
    sharp, smooth = (
        NODEClassifier(**settings, label_smoothing=e).fit(X, y).predict_proba(X).max(axis=1)
        for e in (0.0, 0.3)
    )
    assert np.median(sharp) > 0.99
    assert np.median(smooth) == pytest.approx(0.8, abs=0.03)


def test_folds_without_a_class_are_scored():
    X, y = IRIS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = cross_val_score(
            NODEClassifier(**QUICK, class_weight={0: 2.0, 7: 3.0}), X, y, cv=2,
            error_score="raise",
        )  # fmt: skip
    assert np.isfinite(scores).all()
