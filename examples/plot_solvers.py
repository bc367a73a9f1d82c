"""
From Euler to adaptive steps
============================

A trained field is an ODE only if solving it more exactly changes nothing that matters. A network
that was trained with a few coarse steps may have learned those steps instead [1]_.
"""

# %%
# Two classifiers of two spirals, without a lift: one is trained with four steps of Euler's method,
# the other with adaptive steps. Then each is solved with other methods and tolerances.
from typing import Any

import matplotlib.pyplot as plt

from sknode import NODEClassifier, preset
from sknode.datasets import make_spirals
from sknode.inspection import solver_consistency

X, y = make_spirals(600, noise=0.02, random_state=0)
X_test, y_test = make_spirals(600, noise=0.02, random_state=1)
settings = {**preset("classical"), "hidden_layer_sizes": (64, 64), "augment_dim": 1}
settings |= {"max_epochs": 150, "schedule": "cosine", "random_state": 0}
models = {
    "Euler, 4 steps": NODEClassifier(**{**settings, "solver": "euler"}, n_steps=4),
    "dopri5, 1e-3": NODEClassifier(**settings),
}
for name, model in models.items():
    model.fit(X, y)
    found = solver_consistency(model, X_test, y_test)
    print(
        f"trained by {name}: accuracy {found.score:.3f}, solved exactly {found.tight_score:.3f}, "
        f"probabilities moved by up to {found.deviation:.2f}"
    )

# %%
# The first has learned its steps: every other solver, finer ones included, spoils it. The accuracy
# of the second is the same with any solver that is exact enough, and falls with coarser ones.
solvers = [("bosh3", tolerance) for tolerance in (1.0, 1e-1, 1e-2, 1e-3, 1e-4)]
solvers += [("dopri5", tolerance) for tolerance in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6)]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    own = model.score(X_test, y_test)
    for solver in ("bosh3", "dopri5"):
        judged = [
            solver_consistency(model, X_test, y_test, solver=solver, tolerance=tolerance)
            for each, tolerance in solvers
            if each == solver
        ]
        cost, score = ([getattr(one, of) for one in judged] for of in ("tight_nfe", "tight_score"))
        ax.plot(cost, score, ".-", label=f"solved by {solver}")
    ax.axhline(own, color="grey", linewidth=0.8, linestyle="--", label="its own solver")
    ax.set(title=f"trained by {name}", xlabel="evaluations a row", xscale="log")
axes[0].set(ylabel="accuracy on new points")
axes[0].legend()
plt.show()

# %%
# A penalty on the kinetic energy, ∫|f|²dt, makes for straight ways: fewer evaluations, at nearly
# the same accuracy.
for penalty in (0.0, 0.01, 0.1):
    penalised: dict[str, Any] = {**settings, "kinetic_penalty": penalty}
    model = NODEClassifier(**penalised).fit(X, y)
    found = solver_consistency(model, X_test, y_test)
    print(f"penalty {penalty}: accuracy {found.score:.3f}, {found.nfe:.1f} evaluations a row")

# %%
# .. [1] Ott, Katiyar, Hennig, Tiemann, "ResNet After All: Neural ODEs and Their Numerical
#    Solution", ICLR 2021.
