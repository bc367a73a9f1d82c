"""Odd inputs: each either works or raises an error that says what is wrong."""

import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from sknode import NODEClassifier, NODERegressor, SolverError, TrainingError, TrainingWarning
from tests.problems import CLASSICAL

TINY = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0}
X = np.random.default_rng(0).normal(size=(20, 3))
TARGET = X[:, 0]
LABELS = (TARGET > 0).astype(int)
INDICATORS = (X > 0).astype(int)
NAMES = np.array(["no", "yes"])
BOTH = pytest.mark.parametrize(
    ("estimator", "y"), [(NODEClassifier, LABELS), (NODERegressor, TARGET)]
)
PRECISIONS = pytest.mark.parametrize("dtype", [np.float64, np.float32])
NOT_FINITE = pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")]
)


def regressor(**settings):
    return NODERegressor(**{**TINY, **settings})


def classifier(**settings):
    return NODEClassifier(**{**TINY, **settings})


def predictions_are_finite(model, X):
    outputs = [model.predict(X)] if isinstance(model, NODERegressor) else [
        model.predict_proba(X), model.decision_function(X)
    ]  # fmt: skip
    return all(np.isfinite(output).all() for output in outputs)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def with_first(array, value):
    array = np.array(array, dtype=np.float64)
    array[(0,) * array.ndim] = value
    return array


# The rows.


@BOTH
@PRECISIONS
@pytest.mark.parametrize("value", [0.0, 0.1, 1e-30, 1e15, 1e30])
def test_constant_features_are_centred_away(estimator, y, dtype, value):
    constant = np.full((20, 3), value, dtype)
    model = estimator(**TINY).fit(constant, y)
    zeros = estimator(**TINY).fit(np.zeros((20, 3), dtype), y)
    outputs, expected = model.predict(constant), zeros.predict(np.zeros((20, 3), dtype))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_a_constant_feature_beside_others_changes_nothing_but_the_weights():
    wide = np.column_stack((X, np.full(20, 1e30)))
    assert np.abs(regressor().fit(wide, TARGET).predict(wide)).max() < 10


def test_a_feature_whose_spread_is_lost_in_rounding_counts_as_constant():
    wide = np.column_stack((X, 1e30 * (1 + 1e-16 * X[:, 1])))
    assert np.abs(regressor().fit(wide, TARGET).predict(wide)).max() < 10


@BOTH
def test_duplicated_rows_work_and_are_predicted_alike(estimator, y):
    same = np.repeat(X[:1], 20, axis=0)
    assert len(np.unique(estimator(**TINY).fit(same, y).predict(same))) == 1


@BOTH
def test_a_single_feature_works(estimator, y):
    assert predictions_are_finite(estimator(**TINY).fit(X[:, :1], y), X[:, :1])


@BOTH
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_ten_thousand_features_work(estimator, y, form):
    wide = form(np.random.default_rng(0).normal(size=(5, 10_000)))
    model = estimator(**{**TINY, "max_epochs": 1}).fit(wide, y[:5])
    assert predictions_are_finite(model, wide)


@BOTH
def test_one_row_is_enough_without_early_stopping(estimator, y):
    assert predictions_are_finite(estimator(**TINY).fit(X[:1], y[:1]), X)


@PRECISIONS
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_the_scale_of_the_features_does_not_matter(dtype, form, scale):
    rows = form(X.astype(dtype))
    expected = regressor().fit(rows, TARGET).predict(rows)
    scaled = form((X * scale).astype(dtype))
    np.testing.assert_allclose(regressor().fit(scaled, TARGET).predict(scaled), expected, rtol=1e-4)


def test_features_of_very_different_scales_are_all_used():
    scales = np.array([1e30, 1.0, 1e-30])
    expected = regressor().fit(X, TARGET).predict(X)
    scaled = X * scales
    np.testing.assert_allclose(regressor().fit(scaled, TARGET).predict(scaled), expected, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_rows", [2, 20])
@pytest.mark.parametrize("scale", [1e160, 1e200, 1e300, 1e-160, 1e-300])
def test_features_whose_squares_are_no_numbers_are_scaled_as_others(
    estimator, y, form, n_rows, scale
):
    rows, same = form(X[:n_rows] * scale), form(X[:n_rows])
    model, expected = (estimator(**TINY).fit(r, y[:n_rows]) for r in (rows, same))
    outputs = [m._map_outputs(r, m._target.combine) for m, r in ((model, rows), (expected, same))]
    np.testing.assert_allclose(*outputs, rtol=1e-6)


@BOTH
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_features_whose_differences_are_no_numbers_are_refused(estimator, y, form):
    with pytest.raises(ValueError, match=r"X holds values beyond 4e\+307"):
        estimator(**TINY).fit(form(X / abs(X).max() * 1.7e308), y)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
def test_rows_far_outside_those_of_the_fit_get_a_finite_prediction_or_an_error(activation):
    settings = {"activation": activation, "scaling": "standard"}
    model = regressor(**settings).fit(X * 1e-30, TARGET)
    with pytest.raises((ValueError, RuntimeError), match=r"large|finite|rows"):
        model.predict(X * 1e300)


def test_rows_too_large_for_the_precision_of_the_network_are_named():
    model = regressor(dtype="float32", scaling="standard").fit(X, TARGET)
    with pytest.raises((ValueError, RuntimeError), match=r"large|finite|rows"):
        model.predict(np.where(np.arange(20)[:, None] == 7, 1e100, X))


def test_integers_beyond_the_reach_of_floats_work():
    integers = 2**53 + np.arange(20)[:, None] * np.array([[1, 2, 1000]])
    assert predictions_are_finite(regressor().fit(integers, TARGET), integers)
    unsigned = np.full((20, 3), 2**63, np.uint64) + integers.astype(np.uint64)
    assert predictions_are_finite(regressor().fit(unsigned, TARGET), unsigned)
    assert predictions_are_finite(regressor().fit(X, 2**53 + np.arange(20)), X)


@pytest.mark.parametrize("labels", [2**53 + LABELS, 2**62 + LABELS, np.uint64(2**63) + LABELS])
def test_integer_labels_beyond_the_reach_of_floats_stay_apart(labels):
    # Numpy adds a signed and an unsigned array as floats, which is not what is tested.
    labels = np.array([int(n) for n in labels]) if labels.dtype == np.float64 else labels
    model = classifier().fit(X, labels)
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    assert set(model.predict(X).tolist()) <= set(labels.tolist())


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint16, np.float16, np.longdouble, ">f8"])
def test_every_kind_of_number_works(kind):
    rows = (10 * X).clip(0).astype(kind)
    assert predictions_are_finite(regressor().fit(rows, TARGET), rows)


@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


@pytest.fixture
def frame(pd):
    return pd.DataFrame(
        {
            "integer": np.arange(20),
            "float": X[:, 0],
            "boolean": LABELS.astype(bool),
            "nullable_integer": pd.array(np.arange(20), dtype="Int64"),
            "nullable_float": pd.array(X[:, 1].astype(np.float32), dtype="Float32"),
            "nullable_boolean": pd.array(LABELS.astype(bool), dtype="boolean"),
        }
    )


@BOTH
def test_a_frame_of_mixed_types_is_fitted_like_its_numbers(estimator, y, frame, pd):
    before = frame.copy()
    model = estimator(**TINY).fit(frame, y)
    expected = estimator(**TINY).fit(frame.to_numpy(np.float64), y)
    np.testing.assert_array_equal(
        model.predict(frame), expected.predict(frame.to_numpy(np.float64))
    )
    pd.testing.assert_frame_equal(frame, before)


def test_a_missing_value_in_a_frame_is_named(frame, pd):
    frame.loc[0, "nullable_integer"] = pd.NA
    with pytest.raises(ValueError, match="Input X contains NaN"):
        regressor().fit(frame, TARGET)


def test_a_frame_with_strings_or_dates_is_refused(frame, pd):
    with pytest.raises(ValueError, match="could not convert string to float"):
        regressor().fit(frame.assign(text=["a", "b"] * 10), TARGET)
    with pytest.raises(TypeError, match=r"Datetime|dtype"):
        regressor().fit(frame.assign(day=pd.date_range("2020-01-01", periods=20)), TARGET)


VIEWS = {
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "Fortran": np.asfortranarray,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


@BOTH
@PRECISIONS
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_layout_of_arrays_does_not_matter_and_they_are_left_alone(estimator, y, dtype, view):
    rows, weight = X.astype(dtype), np.arange(1.0, 21.0)
    expected = estimator(**TINY).fit(rows, y, sample_weight=weight).predict(rows)
    given = [view(rows), view(y), view(weight)]
    model = estimator(**TINY).fit(
        given[0], given[1], given[2], X_val=given[0], y_val=given[1], sample_weight_val=given[2]
    )
    np.testing.assert_allclose(
        model.set_params(early_stopping=False).fit(*given).predict(given[0]), expected, rtol=1e-4
    )
    for array, original in zip(given, (rows, y, weight), strict=True):
        np.testing.assert_array_equal(array, original)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_layout_of_matrix_targets_does_not_matter(view):
    targets = np.column_stack((TARGET, -TARGET))
    np.testing.assert_array_equal(
        regressor().fit(X, view(targets)).predict(X), regressor().fit(X, targets).predict(X)
    )
    np.testing.assert_array_equal(
        classifier().fit(X, view(INDICATORS)).predict_proba(X),
        classifier().fit(X, INDICATORS).predict_proba(X),
    )


def test_read_only_sparse_rows_work():
    rows = sparse.csr_array(X)
    for part in (rows.data, rows.indices, rows.indptr):
        part.flags.writeable = False
    model = regressor(batch_size=7).fit(rows, TARGET)
    assert predictions_are_finite(model, rows)


def test_sparse_rows_without_an_entry_work():
    empty = sparse.csr_array((20, 3))
    assert predictions_are_finite(regressor().fit(empty, TARGET), empty)


@BOTH
@NOT_FINITE
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_rows_that_are_not_finite_are_refused_by_every_method(estimator, y, value, message, form):
    bad, fitted = form(with_first(X, value)), estimator(**TINY).fit(X, y)
    calls = [
        lambda: estimator(**TINY).fit(bad, y),
        lambda: estimator(**TINY).fit(X, y, X_val=bad, y_val=y),
        lambda: fitted.predict(bad),
        lambda: fitted.trajectory(bad, [1.0]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=rf"Input X\w* contains {message}"):
            call()


@NOT_FINITE
def test_targets_and_weights_that_are_not_finite_are_refused(value, message):
    bad = with_first(TARGET, value)
    several = np.column_stack((TARGET, bad))
    for model, y in ((regressor(), bad), (regressor(), several), (classifier(), bad)):
        with pytest.raises(ValueError, match=f"Input y contains {message}"):
            model.fit(X, y)
    with pytest.raises(ValueError, match=rf"Input y\w* contains {message}"):
        regressor().fit(X, TARGET, X_val=X, y_val=bad)
    weight = with_first(np.ones(20), value)
    with pytest.raises(ValueError, match=f"Input sample_weight contains {message}"):
        regressor().fit(X, TARGET, sample_weight=weight)
    with pytest.raises(ValueError, match=rf"Input sample_weight\w* contains {message}"):
        regressor().fit(X, TARGET, X_val=X, y_val=TARGET, sample_weight_val=weight)


@BOTH
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([["a", "b"]] * 20), "could not convert string to float"),
        (np.array([["a", 1]] * 20, dtype=object), "could not convert string to float"),
        (X + 1j, "Complex data not supported"),
        (X[:, 0], "Expected 2D array, got 1D array instead"),
        (X[:, :, None], "Found array with dim 3"),
        (np.float64(3.0), "Expected 2D array, got scalar array instead"),
        (X[:0], r"Found array with 0 sample\(s\)"),
        (X[:, :0], r"0 feature\(s\)"),
        (X[:5], "inconsistent numbers of samples"),
    ],
)
def test_rows_of_a_wrong_kind_or_shape_are_refused(estimator, y, rows, message):
    model = estimator(**TINY)
    with pytest.raises(ValueError, match=message):
        model.fit(rows, y)
    assert vars(model) == vars(estimator(**TINY))


# The weights.


@BOTH
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(20), "Negative values in data passed to `sample_weight`"),
        (np.zeros(20), "Sample weights must contain at least one non-zero number"),
        (np.ones(5), "sample_weight.shape"),
        (np.ones((20, 1)), "Sample weights must be 1D array or scalar"),
        (np.ones(20) + 1j, "Complex data not supported"),
        (np.array(["a"] * 20), "could not convert string to float"),
    ],
)
def test_wrong_weights_are_refused(estimator, y, weight, message):
    with pytest.raises(ValueError, match=message):
        estimator(**TINY).fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=message.replace("`sample_weight`", "`sample_weight")):
        estimator(**TINY).fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)


@BOTH
@PRECISIONS
@pytest.mark.parametrize("scale", [1e-300, 1e-60, 1e60, 1e300])
def test_the_scale_of_the_weights_does_not_matter(estimator, y, dtype, scale):
    rows, weight = X.astype(dtype), np.arange(1.0, 21.0)
    expected = estimator(**TINY).fit(rows, y, sample_weight=weight).predict(rows)
    given = estimator(**TINY).fit(rows, y, sample_weight=scale * weight).predict(rows)
    np.testing.assert_allclose(given, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_whether_a_feature_is_constant_does_not_depend_on_the_scale_of_the_weights(scale):
    rows, weight = np.column_stack((1000 * X, np.full(20, 0.1))), scale * np.arange(1.0, 21.0)
    scaling = regressor().fit(rows, TARGET, sample_weight=weight).scaling_
    assert scaling.scale[3] == 1
    assert (scaling.scale[:3] > 100).all()


def test_weights_of_classes_and_rows_whose_product_overflows_work_or_are_refused():
    model = classifier(class_weight={0: 1e300})
    try:
        model.fit(X, LABELS, sample_weight=np.full(20, 1e300))
    except ValueError as error:
        assert "weight" in str(error)  # noqa: PT017 -- either is fine
    else:
        assert predictions_are_finite(model, X)


@pytest.mark.parametrize("weight", [np.nan, -1.0, np.inf, "heavy", None])
def test_a_class_weight_that_is_no_weight_is_refused(weight):
    with pytest.raises((ValueError, TypeError), match="class_weight"):
        classifier(class_weight={0: weight}).fit(X, LABELS)


def test_class_weights_that_leave_no_row_are_refused():
    with pytest.raises(ValueError, match="weight"):
        classifier(class_weight={0: 0.0, 1: 0.0}).fit(X, LABELS)


# The labels.


def test_five_hundred_classes_work():
    rows = np.random.default_rng(0).normal(size=(1000, 3))
    model = classifier(dtype="float64").fit(rows, np.arange(1000) % 500)
    probabilities = model.predict_proba(rows)
    assert probabilities.shape == (1000, 500)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_labels_that_are_seen_once_are_known_afterwards(early_stopping, class_weight):
    model = classifier(early_stopping=early_stopping, class_weight=class_weight)
    model.fit(X, np.arange(20))
    assert model.classes_.tolist() == list(range(20))
    assert predictions_are_finite(model, X)


def test_one_label_seen_once_among_many_does_not_hinder_early_stopping():
    model = classifier(early_stopping=True).fit(X, (np.arange(20) == 7).astype(int))
    assert model.classes_.tolist() == [0, 1]


def predicted_like(labels):
    """Return the labels that are predicted, after a look at their types."""
    predicted, given = classifier().fit(X, labels).predict(X), np.asarray(labels)
    assert set(predicted.tolist()) <= set(given.tolist())
    assert {type(label) for label in predicted.tolist()} <= {type(n) for n in given.tolist()}
    return predicted


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(np.int8),
        LABELS.astype(np.uint8),
        LABELS.astype(np.float32),
        LABELS.astype(bool),
        NAMES[LABELS],
        NAMES.astype(object)[LABELS],
        np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]")[LABELS],
        NAMES[LABELS].tolist(),
        LABELS.tolist(),
        LABELS.astype(bool).tolist(),
    ],
    ids=lambda labels: f"{type(labels).__name__}-{getattr(labels, 'dtype', type(labels[0]))}",
)
def test_labels_come_back_in_their_own_type(labels):
    assert predicted_like(labels).dtype == np.asarray(labels).dtype


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (LABELS, None),
        (LABELS, "category"),
        (LABELS.astype(bool), None),
        (NAMES[LABELS], object),
        (NAMES[LABELS], "string"),
        (NAMES[LABELS], "category"),
    ],
)
def test_labels_of_pandas_come_back_in_their_own_type(labels, dtype, pd):
    predicted_like(pd.Series(labels, dtype=dtype))


def test_categories_in_an_order_come_back_as_text(pd):
    categories = ["yes", "no", "perhaps"]
    predicted_like(pd.Series(pd.Categorical(NAMES[LABELS], categories=categories, ordered=True)))


@pytest.mark.parametrize("kind", ["Int64", "Float32", "boolean"])
def test_nullable_labels_come_back_with_their_values(kind, pd):
    # scikit-learn reads them as floats.
    labels = pd.Series(LABELS).astype(kind)
    assert set(classifier().fit(X, labels).predict(X)) <= {0, 1}


@pytest.mark.parametrize("other", [1, None, 2.5, True])
def test_labels_of_mixed_types_are_refused_with_what_is_wrong(other):
    labels = np.array([other, "b"], dtype=object)[LABELS]
    with pytest.raises((ValueError, TypeError), match=r"y .*(type|mix|string)"):
        classifier().fit(X, labels)


def test_a_missing_label_is_refused_with_what_is_wrong(pd):
    labels = pd.Series(NAMES[LABELS], dtype="string")
    labels[0] = pd.NA
    with pytest.raises((ValueError, TypeError), match=r"\by\b"):
        classifier().fit(X, labels)


@pytest.mark.parametrize("labels", [TARGET, LABELS + 0.5])
def test_fractions_are_no_labels(labels):
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier().fit(X, labels)


@pytest.mark.parametrize("value", [0, 7, "only", True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_single_class_is_predicted_with_certainty(value, early_stopping):
    model = classifier(early_stopping=early_stopping).fit(X, np.full(20, value))
    assert set(model.predict(X).tolist()) == {value}
    np.testing.assert_array_equal(model.predict_proba(X), np.ones((20, 1)))


@BOTH
def test_y_none_is_refused(estimator, y):
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        estimator(**TINY).fit(X, None)


# Several labels.


@pytest.mark.parametrize(
    "form",
    [
        sparse.csr_array,
        sparse.csc_matrix,
        lambda y: pytest.importorskip("pandas").DataFrame(y),
        np.ndarray.tolist,
        lambda y: y.astype(bool),
        lambda y: y.astype(np.float32),
        lambda y: pytest.importorskip("pandas").DataFrame(y).astype("boolean"),
    ],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_several_labels_may_come_in_every_form(form, early_stopping):
    model = classifier(early_stopping=early_stopping).fit(X, form(INDICATORS))
    expected = classifier(early_stopping=early_stopping).fit(X, INDICATORS)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert model.predict(X).shape == (20, 3)
    assert model.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_never_or_always_is_present_works(class_weight, value):
    labels = INDICATORS.copy()
    labels[:, 1] = value
    model = classifier(class_weight=class_weight).fit(X, labels)
    assert predictions_are_finite(model, X)
    assert model.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [0, 1])
def test_labels_that_are_all_alike_work(value):
    labels = np.full((20, 3), value)
    assert predictions_are_finite(classifier().fit(X, labels), X)
    assert predictions_are_finite(classifier().fit(X[:1], labels[:1]), X)


def test_several_targets_of_several_classes_are_refused():
    with pytest.raises(ValueError, match=r"zeros and ones.*MultiOutputClassifier"):
        classifier().fit(X, INDICATORS + np.arange(20)[:, None] % 3)


# The targets.


@pytest.mark.parametrize("scale", [1e30, 1e-30, 1e160, 1e300, 1e-160])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_scale_of_the_targets_does_not_matter(scale, early_stopping):
    model = regressor(early_stopping=early_stopping).fit(X, TARGET * scale)
    expected = regressor(early_stopping=early_stopping).fit(X, TARGET)
    np.testing.assert_allclose(model.predict(X) / scale, expected.predict(X), rtol=1e-6)


def test_targets_whose_differences_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match=r"y holds values beyond 4e\+307"):
        regressor().fit(X, TARGET / abs(TARGET).max() * 1.7e308)


@pytest.mark.parametrize(
    ("estimator", "y"),
    [(NODEClassifier, np.arange(20) % 3), (NODEClassifier, LABELS), (NODERegressor, TARGET)],
)
def test_weights_that_leave_no_finite_prediction_are_taken_back_or_say_so(estimator, y):
    # So large are they only after the last step, which no loss follows.
    model = estimator(**{**TINY, "max_epochs": 1}, learning_rate=1e160, n_steps=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        try:
            assert predictions_are_finite(model.fit(X, y), X)
        except (TrainingError, SolverError) as error:
            assert str(error)  # noqa: PT017 -- either is fine


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", torch.optim.RMSprop])
@pytest.mark.parametrize("settings", [{"learning_rate": 1e300}, {"weight_decay": 1e300}])
def test_settings_too_large_for_float32_work_or_are_refused(optimizer, settings):
    model = regressor(dtype="float32", optimizer=optimizer, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        try:
            assert predictions_are_finite(model.fit(X, TARGET), X)
        except (ValueError, TrainingError, SolverError) as error:
            assert str(error)  # noqa: PT017 -- either is fine


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("value", [0.0, 0.1, 3.0, 1e15, 1e30])
def test_constant_targets_are_fitted_like_zeros(early_stopping, value):
    model = regressor(early_stopping=early_stopping).fit(X, np.full(20, value))
    zeros = regressor(early_stopping=early_stopping).fit(X, np.zeros(20))
    np.testing.assert_allclose(model.predict(X), value + zeros.predict(X), rtol=1e-9)
    assert model.loss_ == pytest.approx(zeros.loss_)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_the_score_of_constant_targets_is_a_number(loss):
    model = regressor(early_stopping=True, loss=loss).fit(X, np.full(20, 3.0))
    assert all(np.isfinite(epoch["validation_score"]) for epoch in model.history_)


def test_the_score_of_one_row_is_not_a_number_and_nobody_is_warned():
    model = regressor().fit(X, TARGET, X_val=X[:1], y_val=TARGET[:1])
    assert np.isnan(model.history_[-1]["validation_score"])
    assert np.isfinite(model.history_[-1]["validation_loss"])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (NAMES[LABELS], "could not convert string to float"),
        (TARGET + 1j, "Complex data not supported"),
        (X[:, :, None], "Found array with dim 3"),
        (np.zeros((20, 0)), r"0 feature\(s\)"),
        (TARGET[:5], "inconsistent numbers of samples"),
    ],
)
def test_targets_of_a_wrong_kind_or_shape_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        regressor().fit(X, y)


@pytest.mark.parametrize(
    "form",
    [
        sparse.csr_array,
        lambda y: pytest.importorskip("pandas").DataFrame(y),
        np.ndarray.tolist,
        lambda y: y.astype(object),
    ],
)
def test_several_targets_may_come_in_every_form(form):
    targets = np.column_stack((TARGET, -TARGET))
    np.testing.assert_array_equal(
        regressor().fit(X, form(targets)).predict(X), regressor().fit(X, targets).predict(X)
    )


def test_a_column_of_targets_is_one_target_and_scikit_learn_says_so():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model = regressor().fit(X, TARGET[:, None])
    assert model.predict(X).shape == (20,)


def test_poisson_refuses_negative_targets_and_those_without_a_mean():
    model = regressor(loss="poisson")
    with pytest.raises(ValueError, match="needs targets that are not negative"):
        model.fit(X, TARGET)
    with pytest.raises(ValueError, match="needs targets that are not negative"):
        model.fit(X, abs(TARGET), X_val=X, y_val=TARGET)
    for y in (np.zeros(20), np.column_stack((abs(TARGET), np.zeros(20)))):
        with pytest.raises(ValueError, match="needs targets with a positive mean"):
            model.fit(X, y)
    with pytest.raises(ValueError, match="needs targets with a positive mean"):
        model.fit(X, TARGET.clip(0), sample_weight=(TARGET < 0).astype(float))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_the_scale_of_poisson_targets_does_not_matter(scale):
    y = abs(TARGET)
    model, expected = (regressor(loss="poisson").fit(X, y * s) for s in (scale, 1.0))
    np.testing.assert_allclose(model.predict(X) / scale, expected.predict(X), rtol=1e-6)


def test_poisson_targets_whose_sum_overflows_have_a_mean():
    y = np.full(20, 1.7e308)
    assert regressor(loss="poisson").fit(X, y).target_scaling_.scale == pytest.approx(1.7e308)


def test_a_poisson_prediction_that_overflows_is_the_largest_float_or_an_error():
    settings = {**CLASSICAL, **TINY, "learning_rate": 1.0}
    model = regressor(**settings, loss="poisson").fit(X, abs(TARGET))
    try:
        assert np.isfinite(model.predict(1e6 * X)).all()
    except (ValueError, RuntimeError) as error:
        assert "row" in str(error) or "large" in str(error)  # noqa: PT017 -- either is fine


def test_the_quantile_loss_needs_a_quantile():
    with pytest.raises(ValueError, match="loss='quantile' needs a quantile"):
        regressor(loss="quantile").fit(X, TARGET)


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_another_number_of_targets_is_refused_when_going_on(again):
    several = np.column_stack((TARGET, TARGET))
    for first, second in ((TARGET, several), (several, TARGET)):
        model = regressor(warm_start=True).fit(X, first)
        before, expected = dict(vars(model)), model.predict(X)
        with pytest.raises(ValueError, match=r"y must have \d targets, as in the fit before"):
            getattr(model, again)(X, second)
        assert vars(model) == before
        np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_labels_of_another_form_are_refused_when_going_on(again):
    for first, second in ((LABELS, INDICATORS), (INDICATORS, LABELS)):
        model = classifier(warm_start=True).fit(X, first)
        with pytest.raises(ValueError, match=r"shape|column|one-dimensional|matrix|label|classes"):
            getattr(model, again)(X, second)


# Rows to validate by.


@BOTH
def test_early_stopping_with_one_row_says_what_to_do(estimator, y):
    model = estimator(**TINY, early_stopping=True)
    message = (
        "needs two distinct rows, got n_samples=1 and 1 distinct; set early_stopping=False, "
        "or give X_val and y_val"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X[:1], y[:1])
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, sample_weight=np.eye(20)[3])


@BOTH
@pytest.mark.parametrize("fraction", [1e-9, 0.5, 1 - 1e-9])
def test_early_stopping_works_with_two_rows(estimator, y, fraction):
    model = estimator(**TINY, early_stopping=True, validation_fraction=fraction)
    assert predictions_are_finite(model.fit(X[:2], y[:2]), X)


@BOTH
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (X[:0], r"0 sample\(s\)"),
        (X[:, :2], "has 2 features, but .* is expecting 3 features"),
        (X[:, 0], "Expected 2D array"),
        (X[:5], "inconsistent numbers of samples"),
        (None, "X_val and y_val must be given together"),
    ],
)
def test_wrong_rows_to_validate_by_are_refused(estimator, y, rows, message):
    model = estimator(**TINY)
    y_val = y[:0] if rows is not None and len(rows) == 0 else y
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, X_val=rows, y_val=y_val)
    assert vars(model) == vars(estimator(**TINY))


@BOTH
def test_weights_to_validate_with_need_rows(estimator, y):
    with pytest.raises(ValueError, match="sample_weight_val"):
        estimator(**TINY).fit(X, y, sample_weight_val=np.ones(20))


@BOTH
def test_rows_to_validate_by_need_targets(estimator, y):
    with pytest.raises(ValueError, match="X_val and y_val must be given together"):
        estimator(**TINY).fit(X, y, X_val=X)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS + 1, r"classes \[0 1\], got also \[2\]"),
        (NAMES[LABELS], r"classes \[0 1\], got also \['no' 'yes'\]"),
        (TARGET, "Unknown label type: continuous"),
        (INDICATORS, r"shape|one-dimensional|matrix|column"),
    ],
)
def test_labels_to_validate_by_must_be_known(labels, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, LABELS, X_val=X, y_val=labels)


def test_targets_to_validate_by_must_be_as_many():
    with pytest.raises(ValueError, match=r"must have 1 targets, .*got 2"):
        regressor().fit(X, TARGET, X_val=X, y_val=np.column_stack((TARGET, TARGET)))
    with pytest.raises(ValueError, match="must have a column for each of 3 labels"):
        classifier().fit(X, INDICATORS, X_val=X, y_val=INDICATORS[:, :2])


@pytest.mark.parametrize("what", ["X_val", "y_val"])
def test_extreme_rows_to_validate_by_are_refused_or_score_badly(what):
    rows = {"X_val": X, "y_val": TARGET}
    rows[what] = rows[what] * 1e300
    model = regressor()
    try:
        model.fit(X, TARGET, **rows)
    except ValueError as error:
        assert what in str(error) or "large" in str(error)  # noqa: PT017 -- either is fine
    else:
        assert predictions_are_finite(model, X)


def test_balanced_rows_to_validate_by_may_lack_a_class():
    model = classifier(class_weight="balanced")
    model.fit(X, LABELS, X_val=X[LABELS == 0], y_val=LABELS[LABELS == 0])
    assert np.isfinite(model.history_[-1]["validation_loss"])


# Classes that are named before the rows come.


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([1, 2], r"classes \[1 2\], got also \[0\]"),
        (["a", "b"], r"got also \[0 1\]"),
        ([], "classes"),
        ([0, np.nan], "classes|NaN"),
        (None, "classes must be passed on the first call to partial_fit"),
    ],
)
def test_classes_that_do_not_fit_the_labels_are_refused(classes, message):
    model = classifier()
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, LABELS, classes=classes)
    assert vars(model) == vars(classifier())


def test_as_many_classes_as_labels_must_be_named():
    with pytest.raises(ValueError, match="classes"):
        classifier().partial_fit(X, INDICATORS, classes=[0, 1])


@BOTH
def test_integers_beyond_the_largest_float_are_refused(estimator, y):
    huge = [[10**400, 1], [2, 3]]
    with pytest.raises(ValueError, match="must hold numbers that a float can hold"):
        estimator(**TINY).fit(huge, y[:2])
    model = estimator(**TINY).fit(X[:20, :2], y[:20])
    with pytest.raises(ValueError, match="must hold numbers that a float can hold"):
        model.predict(huge)
