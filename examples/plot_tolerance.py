"""
What a tolerance costs, forward and backward
============================================

An adaptive solver takes as many steps as a tolerance asks for. The discrete adjoint goes back
through those steps, a stage at a time, and keeps them in memory until then. The continuous adjoint
forgets them and solves another ODE backwards [1]_, with steps of its own.
"""

# %%
# The same Neural ODE, trained with both adjoints and four tolerances on two moons.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

from sknode import NODEClassifier, preset

X, y = make_moons(600, noise=0.15, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
settings = {**preset("classical"), "augment_dim": 1, "early_stopping": False, "random_state": 0}
tolerances = (1e-1, 1e-2, 1e-3, 1e-4)
found = {}
for adjoint in ("discrete", "continuous"):
    for tolerance in tolerances:
        model = NODEClassifier(**settings, tolerance=tolerance, adjoint=adjoint)
        model.fit(X_train, y_train)
        forward, backward, seconds = (
            np.mean([epoch[name] for epoch in model.history_])
            for name in ("nfe_forward", "nfe_backward", "seconds")
        )
        score = model.score(X_test, y_test)
        found[adjoint, tolerance] = forward, backward, score
        print(
            f"{adjoint:10s} {tolerance:.0e}: {forward:5.1f} evaluations forward, {backward:5.1f} "
            f"backward, {1e3 * seconds:4.1f} ms an epoch, accuracy {score:.3f}"
        )

# %%
# The discrete adjoint costs as much backward as forward, at any tolerance. The adjoint ODE of the
# continuous one needs about twice as many evaluations, and at the loosest tolerance its gradients
# are too coarse to learn from; those of the discrete one are exact for the steps that were taken.
figure, (cost, accuracy) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for adjoint in ("discrete", "continuous"):
    ahead, back, scores = zip(*(found[adjoint, each] for each in tolerances), strict=True)
    cost.plot(ahead, back, "o-", label=adjoint)
    accuracy.plot(tolerances, scores, "o-", label=adjoint)
    for tolerance, *place in zip(tolerances, ahead, back, strict=True):
        cost.annotate(f"{tolerance:.0e}", place, xytext=(6, -4), textcoords="offset points")
cost.axline((20, 20), slope=1, color="grey", linewidth=0.8, linestyle="--")
cost.set(xlabel="evaluations forward", ylabel="evaluations backward")
accuracy.set(xlabel="tolerance", ylabel="accuracy on new points", xscale="log", ylim=(0.8, 1.0))
cost.legend()
plt.show()

# %%
# .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
#    NeurIPS 2018.
