"""
Residual networks and Neural ODEs
=================================

A residual network adds to its state in every block, z ← z + f(z); a Neural ODE is what becomes of
it with ever more blocks of ever smaller steps. The estimators share all but that: lift, fields,
head and training, so a comparison changes one name.
"""

# %%
# Six variants on iris: Neural ODEs, with and without time and three more dimensions, and residual
# networks whose blocks have weights of their own or share them.
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris, make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.model_selection import cross_val_score

from sknode import NODEClassifier, ResNetClassifier, preset
from sknode.inspection import FlowDisplay

X, y = load_iris(return_X_y=True)
node, blocks = preset("classical"), preset("classical", ResNetClassifier)
models = {
    "NODE": NODEClassifier(**node, time_dependent=False, random_state=0),
    "NODE with time": NODEClassifier(**node, random_state=0),
    "augmented": NODEClassifier(**node, time_dependent=False, augment_dim=3, random_state=0),
    "augmented, with time": NODEClassifier(**node, augment_dim=3, random_state=0),
    "6 blocks": ResNetClassifier(**blocks, n_blocks=6, random_state=0),
    "6 blocks, shared": ResNetClassifier(**blocks, n_blocks=6, shared_weights=True, random_state=0),
}
for name, model in models.items():
    start = time.perf_counter()
    scores = cross_val_score(model, X, y, cv=5)
    seconds = (time.perf_counter() - start) / 5
    n_parameters = model.fit(X, y).n_parameters_
    print(f"{name:20s} accuracy {scores.mean():.3f}, {seconds:.2f} s a fit, {n_parameters} weights")

# %%
# Blocks with shared weights are Euler's method: the same numbers, to the last bit.
shared = ResNetClassifier(n_blocks=6, shared_weights=True, random_state=0).fit(X, y)
euler = NODEClassifier(solver="euler", n_steps=6, random_state=0).fit(X, y)
print("largest difference:", np.abs(shared.predict_proba(X) - euler.predict_proba(X)).max())

# %%
# Where the states go is no less different. Two moons, without a lift, are pulled apart along smooth
# ways by an ODE; blocks may jump. Their decision boundaries are alike.
X, y = make_moons(300, noise=0.1, random_state=0)
plane = {"hidden_layer_sizes": (32, 32), "max_epochs": 100, "augment_dim": 0}
models = {
    "Neural ODE": NODEClassifier(**{**node, **plane}, random_state=0).fit(X, y),
    "4 blocks": ResNetClassifier(**{**blocks, **plane}, n_blocks=4, random_state=0).fit(X, y),
}
for model in models.values():
    FlowDisplay.from_estimator(model, X, y)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    DecisionBoundaryDisplay.from_estimator(model, X, ax=ax, alpha=0.4)
    ax.scatter(*X.T, c=y, s=8)
    ax.set(title=f"{name}: {model.score(X, y):.3f}")
plt.show()
