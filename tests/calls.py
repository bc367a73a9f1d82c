"""Calls as the documentation has them, for type checkers; see test_typing.py."""

import os

import numpy as np
import torch

from sknode import (
    NODEClassifier,
    NODEImageClassifier,
    NODERegressor,
    ResNetClassifier,
    ResNetImageClassifier,
    ResNetRegressor,
    preset,
)
from sknode.modules import ImageNetwork, MLPField, NODENetwork, ODEBlock
from sknode.ode import odeint


def construct() -> None:
    NODEClassifier(solver="dopri5", hidden_layer_sizes=(8,), tolerance=(1e-3, 1e-6), n_steps=None)
    NODEClassifier(hidden_layer_sizes=[8, 8], class_weight={0: 1.0, 1: 2.0}, label_smoothing=0.0)
    NODEClassifier(class_weight="balanced", batch_size="auto", early_stopping=True, scaling=None)
    NODEClassifier(device=torch.device("cpu"), optimizer=torch.optim.SGD, adjoint=None)
    NODEClassifier(random_state=np.random.RandomState(0), ema_decay=None, gradient_clip=1)
    NODEClassifier(**preset("fast"), checkpoint=os.path.join("a", "b"), callbacks=[])
    NODERegressor(loss="quantile", quantile=0.9, n_members=1, augment_dim=2, max_epochs=5)
    NODEImageClassifier(image_shape=(1, 8, 8), n_filters=8, n_downsamplings=1)
    ResNetClassifier(n_blocks=2, shared_weights=True)
    ResNetRegressor(n_blocks=2, loss="huber")
    ResNetImageClassifier(n_blocks=2, n_filters=4)


def fit() -> None:
    classifier: NODEClassifier = NODEClassifier(max_epochs=1).fit([[0.0], [1.0]], [0, 1])
    labels: np.ndarray = classifier.classes_
    n_epochs: int = classifier.set_params(verbose=1).n_iter_
    accuracy: float = classifier.score([[0.0]], [0])
    assert labels.tolist() == [0, 1]
    assert n_epochs == 1
    assert accuracy >= 0


def solve() -> None:
    field = MLPField(2, (4,))
    times = torch.tensor([0.0, 1.0])
    solution = odeint(field, torch.ones(3, 2), times, solver="rk4", n_steps=5, kinetic_energy=True)
    states: torch.Tensor = solution.z
    assert states.shape == (2, 3, 2)
    ODEBlock(field, 2.0, tolerance=(1e-4, 1e-6), adjoint="continuous", engine="eager")
    NODENetwork(4, 3, lift="linear", solver="tsit5", max_steps=50)
    ImageNetwork((1, 8, 8), 10, solver="euler", n_steps=2)
