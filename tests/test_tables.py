"""Tables of numbers, words and gaps, and what is made of them."""

import datetime
import pickle
from decimal import Decimal
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from sknode import NODEClassifier
from sknode.tables import make_table_pipeline

pd = pytest.importorskip("pandas")

N_ROWS = 60
# What becomes of a column "a" of numbers, and of one of two values, whose second row is empty.
NUMBERS = {"numeric__a": [1, 1.5, 2], "numeric__missingindicator_a": [0, 1, 0]}
SIGNS = {"binary__a": [1, 0, -1], "binary__missingindicator_a": [0, 1, 0]}


def mixed_table(n_rows=N_ROWS, seed=0):
    """Return a table with each kind of column, and gaps."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n_rows),
            "children": pd.array(rng.integers(0, 5, n_rows), dtype="Int64"),
            "member": rng.choice(["yes", "no"], n_rows),
            "port": pd.Categorical(rng.choice(["C", "Q", "S"], n_rows)),
            "alone": rng.random(n_rows) < 0.5,
            "left": pd.array(rng.random(n_rows) < 0.5, dtype="boolean"),
            "country": "FR",
        }
    )
    table.loc[3:5, ["age", "children", "member", "port", "left"]] = None
    return table


def polars_table():
    """Return the table as a frame of polars."""
    pytest.importorskip("pyarrow")
    return pytest.importorskip("polars").from_pandas(X)


def arrow(values, dtype):
    """Return an array of Arrow in a list, which is empty where there is no Arrow."""
    return [pd.array(values, dtype=f"{dtype}[pyarrow]")] if find_spec("pyarrow") else []


X = mixed_table()
Y = (X["age"].fillna(0) > 40).to_numpy().astype(int)


def quick_model():
    return make_table_pipeline(DecisionTreeClassifier(random_state=0))


def fitted(X):
    """Return the first step, fitted to a table."""
    return quick_model()["table"].fit(X)


def columns_of(X, table=None):
    """Return what becomes of a table, by the names of the columns."""
    table = fitted(X) if table is None else table
    matrix = table.transform(X)
    assert isinstance(matrix, np.ndarray)
    assert matrix.dtype == np.float64
    names = table.get_feature_names_out()
    return {name: matrix[:, i].tolist() for i, name in enumerate(names)}


def test_the_steps_are_named_table_and_like_the_estimator():
    estimator = NODEClassifier(max_epochs=1)
    model = make_table_pipeline(estimator)
    assert isinstance(model, Pipeline)
    assert list(model.named_steps) == ["table", "nodeclassifier"]
    assert model[-1] is estimator


def test_numbers_stay_and_missing_ones_become_the_median_with_an_indicator():
    assert columns_of(pd.DataFrame({"a": [1.0, None, 4.0, 2.0], "b": [3, 1, 2, 0]})) == {
        "numeric__a": [1, 2, 4, 2],
        "numeric__b": [3, 1, 2, 0],
        "numeric__missingindicator_a": [0, 1, 0, 0],
    }


def test_two_values_become_minus_one_and_one_and_missing_ones_zero_with_an_indicator():
    table = pd.DataFrame({"a": ["no", "yes", None, "no"], "b": [True, False, False, True]})
    assert columns_of(table) == {
        "binary__a": [-1, 1, 0, -1],
        "binary__b": [1, -1, -1, 1],
        "binary__missingindicator_a": [0, 0, 1, 0],
    }


def test_several_values_become_a_column_each_and_so_do_missing_ones():
    assert columns_of(pd.DataFrame({"a": ["x", "z", None, "y", "x"]})) == {
        "categorical__a_x": [1, 0, 0, 0, 1],
        "categorical__a_y": [0, 0, 0, 1, 0],
        "categorical__a_z": [0, 1, 0, 0, 0],
        "categorical__a_nan": [0, 0, 1, 0, 0],
    }


def test_values_rarer_than_a_hundredth_share_a_column():
    a = ["x"] * 150 + ["y"] * 46 + ["z"] * 2 + ["rare", "rarer"]
    found = columns_of(pd.DataFrame({"a": a}))
    assert list(found) == [f"categorical__a_{v}" for v in ("x", "y", "z", "infrequent_sklearn")]
    assert found["categorical__a_infrequent_sklearn"] == [0] * 198 + [1, 1]


def test_a_column_without_two_equal_values_becomes_a_constant():
    identifiers = pd.DataFrame({"id": [f"row {i}" for i in range(200)]})
    assert columns_of(identifiers) == {"categorical__id_infrequent_sklearn": [1] * 200}


def test_unseen_values_become_zero_or_infrequent():
    table = fitted(
        pd.DataFrame(
            {
                "two": ["a", "b"] * 100,
                "few": ["a", "b", "c", "d"] * 50,
                "many": ["a", "b"] * 99 + ["c", "d"],
            }
        )
    )
    found = columns_of(pd.DataFrame({"two": ["z"], "few": ["z"], "many": ["z"]}), table)
    assert {name for name, column in found.items() if column != [0]} == {
        "categorical__many_infrequent_sklearn"
    }


@pytest.mark.parametrize("unseen", ["new", None, np.nan, pd.NA, 7, 1.5, True, pd.Timestamp(0), [1]])
def test_no_value_of_a_category_raises_when_predicting(unseen):
    words = ["member", "port", "alone", "left", "country"]
    model = quick_model().fit(X[words], Y)
    row = pd.DataFrame({name: pd.Series([unseen], dtype=object) for name in words})
    assert model.predict(row).shape == (1,)


def test_gaps_that_the_fit_did_not_have_take_the_median_and_zero():
    table = fitted(pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "x"], "c": ["x", "y", "z"]}))
    found = columns_of(pd.DataFrame({"a": [None], "b": [None], "c": [None]}), table)
    assert [column for (column,) in found.values()] == [2, 0, 0, 0, 0]


def test_pandas_and_polars_give_the_same_matrix():
    of_pandas, of_polars = columns_of(X), columns_of(polars_table())
    assert list(of_pandas) == list(of_polars)
    for name, column in of_pandas.items():
        assert column == of_polars[name], name
    assert len(of_pandas) == 2 + 2 + 3 + 2 + 4 + 1


def test_a_model_of_a_pandas_frame_predicts_for_a_polars_frame():
    model = quick_model().fit(X, Y)
    assert np.array_equal(model.predict_proba(X), model.predict_proba(polars_table()))


def test_columns_are_found_by_name_in_any_order_and_beside_others():
    model = quick_model().fit(X, Y)
    shuffled = X[X.columns[::-1]].assign(when=pd.Timestamp(0))
    assert np.array_equal(model.predict_proba(X), model.predict_proba(shuffled))


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None, 2], dtype="Int64"),
        pd.array([1, None, 2], dtype="Float64"),
        pd.array([1, None, 2], dtype="UInt8"),
        *arrow([1, None, 2], "int64"),
        np.array([1, np.nan, 2], dtype=np.float32),
        np.array([1, None, 2], dtype=object),
        np.array([1, pd.NA, 2.0], dtype=object),
        np.array([Decimal(1), None, Decimal(2)], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_numbers_of_every_type_are_numeric(column):
    assert columns_of(pd.DataFrame({"a": column})) == NUMBERS


@pytest.mark.parametrize(
    "series",
    [
        lambda pl: pl.Series([1, None, 2], dtype=pl.Int8),
        lambda pl: pl.Series([1, None, 2], dtype=pl.Float32),
        lambda pl: pl.Series([Decimal(1), None, Decimal(2)]),
    ],
)
def test_numbers_of_polars_are_numeric(series):
    pl = pytest.importorskip("polars")
    assert columns_of(pl.DataFrame({"a": series(pl)})) == NUMBERS


@pytest.mark.parametrize(
    "column",
    [
        pd.array([True, None, False], dtype="boolean"),
        *arrow([True, None, False], "bool"),
        np.array([True, None, False], dtype=object),
        np.array(["b", None, "a"], dtype=object),
        np.array(["b", np.nan, "a"], dtype=object),
        np.array(["b", pd.NA, "a"], dtype=object),
        np.array(["b", None, 1], dtype=object),
        pd.Series(["b", None, "a"]),
        pd.array(["b", None, "a"], dtype="string"),
        *arrow(["b", None, "a"], "string"),
        pd.Categorical(["b", None, "a"]),
        pd.Categorical([2, None, 1]),
        pd.Categorical(pd.to_datetime(["2020-01-02", None, "2020-01-01"])),
        pd.cut([9, np.nan, 1], 2),
    ],
    ids=lambda column: str(column.dtype),
)
def test_words_and_booleans_of_every_type_are_binary_where_there_are_two(column):
    assert columns_of(pd.DataFrame({"a": column})) == SIGNS


@pytest.mark.parametrize(
    "series",
    [
        lambda pl: pl.Series([True, None, False]),
        lambda pl: pl.Series(["b", None, "a"]),
        lambda pl: pl.Series(["b", None, "a"], dtype=pl.Categorical),
        lambda pl: pl.Series(["b", None, "a"], dtype=pl.Enum(["c", "b", "a"])),
    ],
)
def test_words_and_booleans_of_polars_are_binary_where_there_are_two(series):
    pl = pytest.importorskip("polars")
    assert columns_of(pl.DataFrame({"a": series(pl)})) == SIGNS


def test_integer_categories_are_the_same_with_and_without_gaps():
    table = fitted(pd.DataFrame({"a": pd.Categorical([1, 2, 1])}))
    found = columns_of(pd.DataFrame({"a": pd.Categorical([2, None])}), table)
    assert found == {"binary__a": [1, 0]}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_without_values_and_with_one_become_constants(library):
    frame = pytest.importorskip(library).DataFrame
    values = {"none": None, "nan": np.nan, "word": "w", "true": True, "number": 7}
    table = frame({name: [value] * 3 for name, value in values.items()})
    assert columns_of(table) == {
        "numeric__nan": [0, 0, 0],
        "numeric__number": [7, 7, 7],
        "numeric__missingindicator_nan": [1, 1, 1],
        "categorical__none_nan": [1, 1, 1],
        "categorical__word_w": [1, 1, 1],
        "categorical__true_True": [1, 1, 1],
    }


DATES = [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]


@pytest.mark.parametrize(
    "column",
    [
        np.array(DATES, dtype="M8[ns]"),
        np.array(DATES, dtype=object),
        np.ones(2, dtype=complex),
        pd.to_datetime(DATES),
        pd.to_datetime([None, None]),
        pd.to_datetime(DATES, utc=True),
        pd.to_timedelta([1, 2]),
        pd.PeriodIndex(DATES, freq="Y"),
        pd.Series([[1], [2]]),
        pd.Series([{}, {}]),
        pd.Series([b"a", b"b"]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_of_other_types_are_refused_by_name(column):
    assert_named(pd.DataFrame, column)


@pytest.mark.parametrize(
    "series",
    [
        lambda pl: pl.Series(DATES),
        lambda pl: pl.Series([None, None], dtype=pl.Datetime),
        lambda pl: pl.Series([datetime.time(1), None]),
        lambda pl: pl.Series([datetime.timedelta(1), None]),
        lambda pl: pl.Series([[1], [2]]),
        lambda pl: pl.Series([[1], [2]], dtype=pl.Array(pl.Int64, 1)),
        lambda pl: pl.Series([{"a": 1}, {"a": 2}]),
        lambda pl: pl.Series([b"a", b"b"]),
    ],
)
def test_columns_of_other_types_of_polars_are_refused_by_name(series):
    pl = pytest.importorskip("polars")
    assert_named(pl.DataFrame, series(pl))


def assert_named(frame, column):
    table = frame({"number": [1, 2], "first": column, "word": ["a", "b"], "second": column})
    with pytest.raises(ValueError, match=r"make numbers of them, such as the year") as raised:
        quick_model().fit(table, [0, 1])
    assert "the columns ['first', 'second'] hold" in str(raised.value)


@pytest.mark.parametrize(
    "table",
    [
        np.array([[1, DATES[0]], [2, DATES[1]]], dtype=object),
        pd.DataFrame({5: [1, 2], 7: DATES}),
    ],
    ids=["array", "frame"],
)
def test_columns_without_names_are_refused_by_position(table):
    with pytest.raises(ValueError, match=r"the columns \[1\] hold"):
        quick_model().fit(table, [0, 1])


@pytest.mark.parametrize("library", ["pandas", "polars", None])
def test_a_vector_is_no_table(library):
    vector = pytest.importorskip(library).Series([1, 2, 3]) if library else np.ones(3)
    with pytest.raises(ValueError, match="rows and columns"):
        quick_model().fit(vector, [0, 1, 0])


def test_an_array_of_numbers_is_numeric():
    rows = np.array([[1, 2], [np.nan, 3]], dtype=np.float32)
    assert columns_of(rows) == {
        "numeric__x0": [1, 1],
        "numeric__x1": [2, 3],
        "numeric__missingindicator_x0": [0, 1],
    }


@pytest.mark.parametrize("make", [list, lambda rows: np.array(rows, dtype=object)])
def test_the_columns_of_an_array_of_objects_are_looked_at_one_by_one(make):
    rows = make([[1, "a", True, "p"], [2, "b", None, "q"], [None, "c", False, "p"]])
    assert columns_of(rows) == {
        "numeric__x0": [1, 2, 1.5],
        "numeric__missingindicator_x0": [0, 0, 1],
        "binary__x2": [1, 0, -1],
        "binary__x3": [-1, 1, -1],
        "binary__missingindicator_x2": [0, 1, 0],
        "categorical__x1_a": [1, 0, 0],
        "categorical__x1_b": [0, 1, 0],
        "categorical__x1_c": [0, 0, 1],
    }


def test_digits_in_text_are_text():
    assert columns_of(np.array([["1"], ["2"], ["3"]])) == {
        "categorical__x0_1": [1, 0, 0],
        "categorical__x0_2": [0, 1, 0],
        "categorical__x0_3": [0, 0, 1],
    }


def test_a_frame_whose_columns_are_numbered_is_read_by_position():
    frame = pd.DataFrame({3: [1.0, 2.0], 1: ["a", "b"]})
    table = fitted(frame)
    assert table.transform(frame).tolist() == [[1, -1], [2, 1]]


@pytest.mark.parametrize("names", [list("aab"), [0, 0, 1], [("a", 1), ("a", 1), ("a", 2)]])
def test_columns_of_one_name_are_refused_by_it(names):
    table = pd.DataFrame([[1, "x", 2.0], [2, "y", 3.0]])
    model = quick_model().fit(table, [0, 1])
    table.columns = names
    for refused in (lambda: quick_model().fit(table, [0, 1]), lambda: model.predict(table)):
        with pytest.raises(
            ValueError, match="are there more than once; give each column"
        ) as raised:
            refused()
        assert f"the columns [{names[0]!r}] are" in str(raised.value)


@pytest.mark.parametrize("names", [["a", 1], ["a", None], ["a", np.nan], [("a", 1), "a"]])
def test_names_of_which_some_are_text_are_refused(names):
    # pandas makes a float of a None.
    with pytest.raises(TypeError, match="all input features have string names"):
        quick_model().fit(pd.DataFrame([[1, "x"], [2, "y"]], columns=names), [0, 1])


@pytest.mark.parametrize(
    "names",
    [
        [("a", 1), ("a", 2)],
        [5, 3],
        [np.nan, 1.0],
        [True, False],
        pd.date_range("2020-01-01", periods=2),
        pd.MultiIndex.from_product([["a"], ["b", "c"]]),
    ],
    ids=str,
)
def test_names_that_are_no_text_stand_for_positions(names):
    frame = pd.DataFrame([[1.0, "a"], [2.0, "b"]])
    frame.columns = names
    assert fitted(frame).transform(frame).tolist() == [[1, -1], [2, 1]]


@pytest.mark.parametrize("table", [pd.DataFrame(), pd.DataFrame(index=range(2)), X[:0]])
def test_a_table_without_rows_or_columns_is_refused(table):
    with pytest.raises(ValueError, match=r"Found array with 0 (sample|feature)"):
        make_table_pipeline(NODEClassifier()).fit(table, Y[: len(table)])


def test_infinite_numbers_are_refused():
    with pytest.raises(ValueError, match="infinity"):
        fitted(pd.DataFrame({"a": [1.0, np.inf]}))


def test_the_columns_are_chosen_anew_in_every_fit():
    table = fitted(pd.DataFrame({"a": ["x", "y"]}))
    assert list(columns_of(pd.DataFrame({"a": [1, 2]}), clone(table).fit([[1], [2]]))) == [
        "numeric__x0"
    ]
    assert list(columns_of(pd.DataFrame({"a": [1, 2]}), table.fit([[1], [2]]))) == ["numeric__x0"]


def test_a_pickle_predicts_the_same():
    model = make_table_pipeline(NODEClassifier(max_epochs=2, random_state=0)).fit(X, Y)
    restored = pickle.loads(pickle.dumps(model))
    assert np.array_equal(restored.predict_proba(X), model.predict_proba(X))


def test_a_clone_is_not_fitted_and_fits_the_same():
    model = make_table_pipeline(NODEClassifier(max_epochs=2, random_state=0)).fit(X, Y)
    copy = clone(model)
    assert not hasattr(copy["table"], "transformers_")
    assert np.array_equal(copy.fit(X, Y).predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("make", [lambda: X, polars_table], ids=["pandas", "polars"])
def test_parameters_of_the_estimator_can_be_searched(make):
    table = make()
    model = make_table_pipeline(NODEClassifier(hidden_layer_sizes=(4,), random_state=0))
    search = GridSearchCV(model, {"nodeclassifier__max_epochs": [1, 2]}, cv=2).fit(table, Y)
    assert search.best_params_["nodeclassifier__max_epochs"] in (1, 2)
    assert search.predict(table).shape == (N_ROWS,)


def test_folds_whose_categories_differ_can_be_scored():
    rare = X.assign(port=[f"port {i // 4}" for i in range(N_ROWS)])
    scores = cross_val_score(quick_model(), rare, Y, cv=3)
    assert np.isfinite(scores).all()


def test_what_only_words_say_is_learned():
    rng = np.random.default_rng(0)
    words = pd.DataFrame({"a": rng.choice(["x", "y"], 200), "b": rng.choice(list("pqrs"), 200)})
    y = (words["a"] == "x") ^ words["b"].isin(["p", "q"])
    model = make_table_pipeline(NODEClassifier(max_epochs=60, random_state=0))
    assert model.fit(words[:150], y[:150]).score(words[150:], y[150:]) > 0.95


def test_the_first_step_says_which_columns_are_which():
    assert "Columns(kind='binary')" in quick_model()._repr_html_().replace("&#x27;", "'")
    chosen = {name: columns for name, _, columns in fitted(X).transformers_}
    assert chosen["numeric"] == ["age", "children"]
    assert chosen["binary"] == ["member", "alone", "left"]
    assert chosen["categorical"] == ["port", "country"]


@pytest.mark.parametrize("make", [lambda: X, polars_table], ids=["pandas", "polars"])
def test_the_first_step_can_return_pandas_frames(make):
    table = make()
    first = quick_model()["table"].set_output(transform="pandas")
    frame = first.fit(table).transform(table)
    assert {name: column.tolist() for name, column in frame.items()} == columns_of(table)
