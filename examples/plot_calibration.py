"""
Probabilities that can be taken at their word
=============================================

A classifier that is right nine times out of ten when it says 90 % is *calibrated*. Networks tend to
say 99 %. Two scores tell: the log-loss, which punishes being sure and wrong, and the Brier score,
the mean square of the error in the probability. What helps by itself are an ensemble, a little
label smoothing and early stopping, which are the defaults; what helps afterwards is scikit-learn's
``CalibratedClassifierCV``.
"""

# %%
# Data
# ----
# Two classes that overlap, and a fifth of the labels drawn at random: nobody can be sure here.

import matplotlib.pyplot as plt
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.model_selection import train_test_split

from sknode import NODEClassifier

X, y = make_classification(4000, 10, n_informative=6, flip_y=0.2, class_sep=0.8, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.75, random_state=0)

# %%
# Four ways
# ---------
# One network that is trained to the end is the most sure of itself. Calibration learns from rows
# that a network was not trained on how much its log-odds are to be believed: with ``cv=5``, five
# classifiers are fitted, each on four fifths of the rows, and averaged.

default = NODEClassifier(batch_size=64, random_state=0)
members = clone(default).set_params(early_stopping=False, label_smoothing=0.0)
by_heart = clone(members).set_params(n_members=1)
models = {
    "one network, to the end": by_heart,
    "four members, to the end": members,
    "default": default,
    "one network, calibrated": CalibratedClassifierCV(by_heart, method="sigmoid", cv=5),
    "default, calibrated": CalibratedClassifierCV(default, method="sigmoid", cv=5),
}
print(f"{'':26} accuracy  log-loss  Brier score")
for name, model in models.items():
    probability = model.fit(X_train, y_train).predict_proba(X_test)
    scores = (
        accuracy_score(y_test, probability.argmax(1)),
        log_loss(y_test, probability),
        brier_score_loss(y_test, probability[:, 1]),
    )
    print(f"{name:26} {scores[0]:8.3f}  {scores[1]:8.3f}  {scores[2]:11.3f}")

# %%
# Reliability
# -----------
# How often the second class came true where it was said to have some probability. A calibrated
# classifier is on the diagonal.

figure, axes = plt.subplots(1, len(models), figsize=(15, 3.4), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    CalibrationDisplay.from_estimator(model, X_test, y_test, n_bins=10, ax=ax)
    ax.get_legend().remove()
    ax.set(title=name, xlabel="predicted probability", ylabel="")
axes[0].set_ylabel("part of the second class")
plt.show()
