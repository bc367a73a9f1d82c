"""Tables of numbers, words and gaps, made into what an estimator can learn from."""

import sys
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, OrdinalEncoder
from sklearn.utils import check_array

__all__ = ["make_table_pipeline"]

Kind: TypeAlias = Literal["numeric", "binary", "categorical"]

NUMBERS = (Real, Decimal)
CELLS = (*NUMBERS, str, np.bool_)

# The indicator of a share p of the rows is, once standardised, sqrt((1 - p) / p) in these rows:
# 10 for a hundredth of them, 100 for a ten-thousandth. And no column becomes more than a hundred
# columns.
MIN_FREQUENCY = 0.01


def make_table_pipeline(estimator: BaseEstimator) -> Pipeline:
    """Put before an estimator what makes numbers of a table of numbers and words.

    The table is a data frame of pandas or polars, or an array. What is done to a column is decided
    in `fit`, by its type and by its values there.

    Parameters
    ----------
    estimator : estimator object
        Any estimator of scikit-learn, such as a NODEClassifier. As in every pipeline, it is this
        object that is fitted.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Its steps are "table", a `sklearn.compose.ColumnTransformer`, and the estimator, named like
        its class in lower case: `max_epochs` of a NODEClassifier is set as
        ``nodeclassifier__max_epochs``.

    Raises
    ------
    ValueError
        In `fit` of the pipeline, if columns hold dates, lists or anything but numbers, text and
        booleans; it names them. There and later, if several columns have the same name.
    TypeError
        In `fit`, if some names of columns are text and others are not.

    Notes
    -----
    A column is one of three kinds. What it becomes is in double precision.

    - *Numeric*: numbers. The median stands in for missing ones, and if there were any in `fit`, a
      further column is one where one is missing. Nothing is scaled: the estimators of sknode do
      that themselves, other networks need a `sklearn.preprocessing.StandardScaler` in between.
    - *Binary*: text, booleans or categories with two different values. They become −1 and +1, in
      alphabetical order, and what is missing or was not there in `fit` becomes 0. If any were
      missing in `fit`, a further column is one where this becomes 0.
    - *Categorical*: text, booleans or categories with any other number of values. Each value
      becomes a column, one where it is found and else zero. A missing value counts as a value.
      Values found in less than one row of a hundred share a column, which is also that of values
      that were not there in `fit`; without such a column these are zeros throughout.

    Objects of Python are numeric if all of them are numbers, but for booleans. Digits in text are
    text. Numbers that are categories of pandas are names, and that categories have an order is not
    made use of: where it matters, make numbers of them.

    Examples
    --------
    >>> import pandas as pd
    >>> from sknode import NODEClassifier
    >>> from sknode import make_table_pipeline
    >>> X = pd.DataFrame(
    ...     {
    ...         "age": [22, 38, None, 35, 54],
    ...         "member": ["yes", "no", "no", None, "yes"],
    ...         "port": ["S", "C", "S", "Q", "S"],
    ...     }
    ... )
    >>> model = make_table_pipeline(NODEClassifier(max_epochs=2, random_state=0))
    >>> model.fit(X, [0, 1, 1, 1, 0]).predict(X).shape
    (5,)
    >>> numbers = model["table"].transform(X)
    >>> pd.DataFrame(numbers, columns=model["table"].get_feature_names_out()).T
                                       0     1     2     3     4
    numeric__age                    22.0  38.0  36.5  35.0  54.0
    numeric__missingindicator_age    0.0   0.0   1.0   0.0   0.0
    binary__member                   1.0  -1.0  -1.0   0.0   1.0
    binary__missingindicator_member  0.0   0.0   0.0   1.0   0.0
    categorical__port_C              0.0   1.0   0.0   0.0   0.0
    categorical__port_Q              0.0   0.0   0.0   1.0   0.0
    categorical__port_S              1.0   0.0   1.0   0.0   1.0
    """
    table = TableTransformer(
        [
            ("numeric", _numbers(), Columns("numeric")),
            ("binary", _signs(), Columns("binary")),
            ("categorical", _indicators(), Columns("categorical")),
        ]
    )
    return Pipeline([("table", table), (type(estimator).__name__.lower(), estimator)])


class TableTransformer(ColumnTransformer):
    """Refuses columns that cannot be told apart; the rest is scikit-learn's."""

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Learn what is done to the columns, and do it."""
        _check_names(X)
        return super().fit_transform(X, y, **params)

    def transform(self, X: Any, **params: Any) -> Any:
        """Do to the columns what was learned."""
        _check_names(X)
        return super().transform(X, **params)


def _check_names(X: Any) -> None:
    """Raise a ValueError if several columns have the same name."""
    counts = Counter(getattr(X, "columns", ()))
    repeated = [name for name, n in counts.items() if n > 1]
    if repeated:
        raise ValueError(
            f"the columns {repeated} are there more than once; give each column a name of its own, "
            "or drop all but one of a name"
        )


def _numbers() -> Pipeline:
    """Return what is done to numeric columns."""
    return make_pipeline(
        FunctionTransformer(_as_numbers, feature_names_out="one-to-one"),
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
    )


def _signs() -> Pipeline:
    """Return what is done to columns of two values."""
    return make_pipeline(
        FunctionTransformer(_as_text, feature_names_out="one-to-one"),
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
        ),
        MinMaxScaler((-1, 1)),
        SimpleImputer(strategy="constant", fill_value=0, add_indicator=True),
    )


def _indicators() -> Pipeline:
    """Return what is done to columns of categories."""
    return make_pipeline(
        FunctionTransformer(_as_text, feature_names_out="one-to-one"),
        OneHotEncoder(
            min_frequency=MIN_FREQUENCY, handle_unknown="infrequent_if_exist", sparse_output=False
        ),
    )


@dataclass(frozen=True)
class Columns:
    """Chooses the columns of one kind, by their names or else by their positions."""

    kind: Kind

    def __call__(self, X: Any) -> list[str | int]:
        """Return the columns, after a look at all of them."""
        if len(X.shape) != 2:
            raise ValueError(f"X must have rows and columns, got an array of shape {X.shape}")
        labels = _labels(X)
        kinds = [_kind_of(column) for column in _columns(X)]
        refused = [label for label, kind in zip(labels, kinds, strict=True) if kind is None]
        if refused:
            raise ValueError(
                f"the columns {refused} hold neither numbers nor text nor booleans; make numbers "
                "of them, such as the year or the day of the week of a date, or drop them"
            )
        return [label for label, kind in zip(labels, kinds, strict=True) if kind == self.kind]


def _labels(X: Any) -> list[str | int]:
    """Return the names of the columns if they are text, else their positions."""
    names = list(getattr(X, "columns", ()))
    if names and all(isinstance(name, str) for name in names):
        return names
    # scikit-learn takes numbers for positions, even where they are names.
    return list(range(X.shape[1]))


def _columns(X: Any) -> list[Any]:
    """Return the columns of an array or a data frame."""
    cells = getattr(X, "iloc", X)
    return [cells[:, i] for i in range(X.shape[1])]


def _kind_of(column: Any) -> Kind | None:
    """Return the kind of a column, None if it is none of the three."""
    letter = _letter_of(column.dtype)
    if letter in "iuf":
        return "numeric"
    cells = [cell for cell in _objects(column) if not _is_missing(cell)]
    # Categories have names, whatever they are: the intervals of pandas.cut, for example.
    if not hasattr(column.dtype, "categories"):
        types = set(map(type, cells))
        if letter not in "bOSUT" or not all(issubclass(known, CELLS) for known in types):
            return None
        if types and all(issubclass(known, NUMBERS) and known is not bool for known in types):
            return "numeric"
    return "binary" if len(set(map(str, cells))) == 2 else "categorical"


def _letter_of(dtype: Any) -> str:
    """Return numpy's letter for a kind of dtypes, for those of numpy, pandas and polars."""
    if hasattr(dtype, "kind"):
        return dtype.kind
    if dtype.is_numeric():
        return "f"
    return "M" if dtype.is_temporal() else "O"


def _as_numbers(X: Any) -> np.ndarray:
    """Return columns of numbers as such, NaN where one is missing."""
    cells = check_array(X, dtype=None, ensure_all_finite=False)
    if cells.dtype == object:
        cells = np.where(np.frompyfunc(_is_missing, 1, 1)(cells), np.nan, cells)
    return cells.astype(np.float64)


def _as_text(X: Any) -> np.ndarray:
    """Return the text of each cell, NaN where it is missing."""
    return np.frompyfunc(_text_of, 1, 1)(_objects(X))


def _text_of(cell: object) -> str | float:
    """Return the text of a cell, NaN if it is missing."""
    # None would be a category for OrdinalEncoder.
    return np.nan if _is_missing(cell) else str(cell)


def _objects(cells: Any) -> np.ndarray:
    """Return cells as Python's objects."""
    # Of integer categories with a gap pandas itself makes integers here, numpy makes floats.
    cells = cells.astype(object) if hasattr(cells, "astype") else cells
    return np.asarray(cells, dtype=object)


def _is_missing(cell: object) -> bool:
    """Say whether a cell is None, NaN, or the NA or the NaT of pandas."""
    # Where one of its values is, pandas has been imported.
    pandas = sys.modules.get("pandas")
    if pandas is not None and (cell is pandas.NA or cell is pandas.NaT):
        return True
    return cell is None or (isinstance(cell, (float, np.floating)) and isnan(cell))
