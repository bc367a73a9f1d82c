"""
Images: depth as blocks, or as time
===================================

A residual network moves an image by blocks of convolutions; a Neural ODE moves it along one field
of convolutions for a while [1]_. scikit-learn's digits, 8×8 pixels, are small enough to see both
in seconds. ``benchmarks/images.py`` does the same on MNIST.
"""

# %%
# Six blocks with weights of their own, one block, and an ODE, solved by one step of rk4 or by
# adaptive steps. Everything else is the same. Five further channels of zeros give the flow room
# [2]_.
import time
from typing import Any

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from sknode import NODEImageClassifier, ResNetImageClassifier
from sknode.inspection import TrainingDisplay

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images, digits.target, test_size=500, stratify=digits.target, random_state=0
)
settings: dict[str, Any] = {"n_filters": 16, "max_epochs": 20, "random_state": 0}
models = {
    "ResNet, 6 blocks": ResNetImageClassifier(**settings, n_blocks=6),
    "ResNet, 1 block": ResNetImageClassifier(**settings, n_blocks=1),
    "NODE, rk4": NODEImageClassifier(**settings),
    "NODE, dopri5": NODEImageClassifier(**settings, solver="dopri5"),
}
print(f"{'':18}accuracy  weights  evaluations  seconds")
for name, model in models.items():
    start = time.perf_counter()
    model.fit(X_train, y_train)
    seconds = time.perf_counter() - start
    accuracy, nfe = model.score(X_test, y_test), model.history_[-1]["nfe_forward"]
    print(f"{name:18}{accuracy:8.3f}{model.n_parameters_:9}{nfe:13.1f}{seconds:9.1f}")

# %%
# All are as accurate, on images so small. Six blocks have six fields, and the ODE has one however
# many evaluations it takes; those of dopri5 grow in training, as the field becomes stiffer. What
# is paid for an evaluation is time.
TrainingDisplay.from_estimators(models, quantities=("validation_loss", "nfe_forward"))
plt.show()

# %%
# What the ODE does to an image can be looked at, for it moves states of the image's own shape: the
# image itself above, and one of the channels that began as zeros below.
images = [X_test[y_test == digit][0] for digit in (0, 3, 7)]
times = [0.0, 0.25, 0.5, 0.75, 1.0]
states = models["NODE, dopri5"].trajectory(images, times)
figure, axes = plt.subplots(2, 15, figsize=(12, 2.2), layout="constrained")
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
for i in range(len(images)):
    for j, t in enumerate(times):
        for ax, channel in zip(axes[:, 5 * i + j], (0, 3), strict=True):
            limit = abs(states[:, :, channel]).max()
            ax.imshow(states[j, i, channel], cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[0, 5 * i + j].set_title(f"t = {t}", fontsize=8)
axes[0, 0].set_ylabel("image", fontsize=8)
axes[1, 0].set_ylabel("channel 3", fontsize=8)
plt.show()

# %%
# .. [1] Chen, Rubanova, Bettencourt, Duvenaud, "Neural Ordinary Differential Equations",
#    NeurIPS 2018.
# .. [2] Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019.
