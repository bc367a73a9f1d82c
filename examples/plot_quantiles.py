"""
Quantiles, and when to stop
===========================

A regressor with ``loss="quantile"`` predicts not the mean but the value below which the target
stays with a given probability. Three of them show how far the data scatter, and where: here the
noise grows along x. With early stopping a tenth of the rows is held back, and the weights of the
epoch with the lowest validation loss are the ones that are kept.
"""

# %%
# Data
# ----
# A sine whose noise grows from left to right.

import matplotlib.pyplot as plt
import numpy as np

from sknode import NODERegressor, preset

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, 1000)
y = np.sin(2 * x) + rng.normal(size=x.size) * (0.05 + 0.1 * (x + 3))

# %%
# Three regressors
# ----------------
# The linear lift gives the states room: in one dimension trajectories could not pass each other,
# and the sine, which is not monotone, could not be had.

quantiles = (0.1, 0.5, 0.9)
settings = {**preset("classical"), "lift": "linear", "lift_dim": 8}
settings |= {"max_epochs": 200, "schedule": "cosine"}
models = [
    NODERegressor(
        loss="quantile",
        quantile=quantile,
        **settings,
        early_stopping=True,
        n_iter_no_change=50,
        random_state=0,
    ).fit(x[:, None], y)
    for quantile in quantiles
]
for quantile, model in zip(quantiles, models, strict=True):
    below = (y <= model.predict(x[:, None])).mean()
    print(f"{quantile}: {below:.3f} of the targets are below; best epoch {model.best_epoch_}")

# %%
# What they predict, and how they got there
# -----------------------------------------

grid = np.linspace(-3, 3, 300)
low, middle, high = (model.predict(grid[:, None]) for model in models)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.scatter(x, y, s=3, alpha=0.3, color="grey")
left.fill_between(grid, low, high, alpha=0.3, label="from the 10 % to the 90 % quantile")
left.plot(grid, middle, label="median")
left.set(xlabel="x", ylabel="y")
left.legend()
median = models[1]
epochs = [epoch["epoch"] for epoch in median.history_]
right.plot(epochs, [epoch["loss"] for epoch in median.history_], label="training")
right.plot(epochs, [epoch["validation_loss"] for epoch in median.history_], label="validation")
right.axvline(median.best_epoch_, linestyle="--", color="grey", label="the weights that are kept")
right.set(xlabel="epoch", ylabel="loss of the median", yscale="log")
right.legend()
plt.show()
