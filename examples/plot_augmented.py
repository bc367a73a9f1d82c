"""
What a flow cannot do, and what a further dimension changes
===========================================================

The trajectories of an ODE cannot cross. So there are simple functions that no Neural ODE can
represent as long as its state has no more dimensions than the row, and with one zero appended
to the row, an *augmented* Neural ODE [1]_, the obstacle is gone.
"""

# %%
# On a line, x ↦ −x would need −1 and 1 to change places. The plain flow, from the row itself to
# the first dimension of z(1), is a Neural ODE with neither lift nor head. All that it can do is to
# bring both sides together at the mean; with a further dimension they walk around each other.
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from sknode import NODEClassifier, NODERegressor, preset
from sknode.datasets import make_reflection, make_spheres
from sknode.inspection import FlowDisplay, StepDisplay, TrainingDisplay

X, y = make_reflection(500, random_state=0)
X_test, y_test = make_reflection(500, random_state=1)
flow: dict[str, Any] = {
    "lift": "identity",
    "head": "identity",
    "scaling": "standard",
    "solver": "dopri5",
    "kinetic_penalty": 0.0,
}
models: dict[str, Any] = {
    name: NODERegressor(**flow, augment_dim=augment_dim, random_state=0).fit(X, y)
    for name, augment_dim in {"NODE": 0, "augmented": 1}.items()
}
for name, model in models.items():
    error = np.mean((model.predict(X_test) - y_test) ** 2)
    print(f"{name:9s}: mean squared error on new points {error:.2g}")

# %%
# The state of the first has one dimension and is drawn over time, that of the second has two.
shown = X_test[:60]
FlowDisplay.from_estimator(models["NODE"], shown, y_test[:60])
FlowDisplay.from_estimator(models["augmented"], shown, y_test[:60])
plt.show()

# %%
# A ball and a shell around it cannot be pulled apart in the plane either, but a Neural ODE can
# come close for finitely many points, by a field that squeezes the ball through a gap of the shell.
# Such a field is expensive to solve. With three dimensions more the ball is simply lifted out.
settings = {**preset("classical"), "hidden_layer_sizes": (32, 32), "early_stopping": False}
growth: dict[str, list[float]] = {"NODE": [], "augmented": []}
for seed in range(3):
    X, y = make_spheres(1000, random_state=seed)
    X_test, y_test = make_spheres(1000, random_state=100 + seed)
    for name, augment_dim in {"NODE": 0, "augmented": 3}.items():
        model = NODEClassifier(**settings, augment_dim=augment_dim, random_state=seed).fit(X, y)
        models[name] = model
        nfe = [epoch["nfe_forward"] for epoch in model.history_]
        growth[name].append(float(np.mean(nfe[-5:])) - nfe[0])
        score = model.score(X_test, y_test)
        print(
            f"seed {seed}, {name:9s}: accuracy {score:.3f}, evaluations of the field "
            f"{nfe[0]:.1f} in the first epoch, {np.mean(nfe[-5:]):.1f} in the last five"
        )
ratio = np.mean(growth["augmented"]) / np.mean(growth["NODE"])
print(f"evaluations of the augmented one grow {ratio:.2f} times as much")

# %%
for model in models.values():
    FlowDisplay.from_estimator(model, X_test[:400], y_test[:400])
plt.show()

# %%
# The same is seen in the loss against the evaluations, as the paper draws it, and in what the
# evaluations become over training.
figure, (loss, cost) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
TrainingDisplay.from_estimators(models, quantities=["loss"], x="nfe_forward", axes=loss)
TrainingDisplay.from_estimators(models, quantities=["nfe_forward"], axes=cost)
loss.set_yscale("log")
plt.show()

# %%
# Rows do not cost the same, as each has steps of its own. All begin with small ones; the hardest
# need them again towards the end.
StepDisplay.from_estimator(models["NODE"], X_test[:300], y_test[:300])
plt.show()

# %%
# .. [1] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.
