"""
Four Neural ODEs on iris
========================

A Neural ODE may see the time beside its state, and may be given room in the form of extra
dimensions that start at zero (an *augmented* Neural ODE). Here are the four combinations on iris:
how well they predict, how their training loss falls, and what the solver pays for it.
"""

# %%
# The four variants differ in two hyperparameters.
import matplotlib.pyplot as plt
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from sknode import NODEClassifier, preset

X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, stratify=y, random_state=0)

variants = {
    "NODE": {"time_dependent": False, "augment_dim": 0},
    "with time": {"time_dependent": True, "augment_dim": 0},
    "augmented": {"time_dependent": False, "augment_dim": 3},
    "both": {"time_dependent": True, "augment_dim": 3},
}
models = {
    name: NODEClassifier(
        **{**preset("classical"), **settings, "max_epochs": 100}, random_state=0
    ).fit(X_train, y_train)
    for name, settings in variants.items()
}
accuracy = {name: model.score(X_test, y_test) for name, model in models.items()}
for name, score in accuracy.items():
    print(f"{name:10s} test accuracy {score:.3f}")

# %%
# The loss falls to about the same level for all of them. After the first epoch, whose solves have
# no earlier step size to start from, the number of function evaluations (nfe) grows: a field that
# does more takes more steps at the same tolerance.
figure, (loss, nfe, score) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
for name, model in models.items():
    epochs = [epoch["epoch"] for epoch in model.history_]
    loss.plot(epochs, [epoch["loss"] for epoch in model.history_], label=name)
    nfe.plot(epochs, [epoch["nfe_forward"] for epoch in model.history_], label=name)
loss.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy", yscale="log")
nfe.set(title="Cost of a solve", xlabel="epoch", ylabel="forward nfe per batch")
loss.legend()
score.bar(list(accuracy), list(accuracy.values()), color=[f"C{i}" for i in range(4)])
score.set(title="Test accuracy", ylabel="accuracy", ylim=(0.8, 1.0))
plt.show()
