"""Losses against their formulas."""

import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.metrics import d2_pinball_score, log_loss, mean_pinball_loss, mean_poisson_deviance

from sknode.modules.losses import LOSSES, BinaryLogLoss, CategoricalLogLoss, RegressionLoss

generator = torch.Generator().manual_seed(0)
OUTPUTS = torch.randn(20, 3, generator=generator, dtype=torch.float64)
TARGET = 3 * torch.rand(20, 3, generator=generator, dtype=torch.float64)
RESIDUAL = TARGET - OUTPUTS

FORMULAS = {
    "squared_error": RESIDUAL**2,
    "absolute_error": RESIDUAL.abs(),
    "huber": torch.where(
        RESIDUAL.abs() <= 1.35, RESIDUAL**2 / 2, 1.35 * (RESIDUAL.abs() - 1.35 / 2)
    ),
    "quantile": torch.where(RESIDUAL >= 0, 0.8 * RESIDUAL, -0.2 * RESIDUAL),
    "poisson": OUTPUTS.exp() - TARGET * OUTPUTS,
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_regression_loss_is_its_formula(name):
    loss = RegressionLoss(name, 0.8)
    torch.testing.assert_close(loss(OUTPUTS, TARGET), FORMULAS[name])


def test_the_quantile_loss_is_that_of_scikit_learn():
    loss = RegressionLoss("quantile", 0.3)(OUTPUTS[:, :1], TARGET[:, :1]).mean().item()
    assert loss == pytest.approx(mean_pinball_loss(TARGET[:, 0], OUTPUTS[:, 0], alpha=0.3))
    assert d2_pinball_score(TARGET[:, 0], TARGET[:, 0]) == 1


def test_the_poisson_loss_is_half_the_deviance_up_to_a_constant():
    loss = RegressionLoss("poisson")
    differences = [
        loss(outputs[:, :1], TARGET[:, :1]).mean().item()
        - mean_poisson_deviance(TARGET[:, 0], outputs[:, 0].exp()) / 2
        for outputs in (OUTPUTS, OUTPUTS - 1)
    ]
    assert differences[0] == pytest.approx(differences[1])


def test_log_losses_are_those_of_scikit_learn():
    classes = torch.arange(20) % 3
    loss = CategoricalLogLoss()(OUTPUTS, classes).mean().item()
    assert loss == pytest.approx(log_loss(classes, OUTPUTS.softmax(1)))
    labels = (TARGET > 1.5).double()
    each = [log_loss(labels[:, i], OUTPUTS[:, i].sigmoid()) for i in range(3)]
    assert BinaryLogLoss()(OUTPUTS, labels).mean().item() == pytest.approx(np.mean(each))


def test_smoothing_shares_a_label_out_over_the_classes_in_training_only():
    classes = torch.arange(20) % 3
    one_hot = torch.nn.functional.one_hot(classes, 3).double()
    expected = -((0.9 * one_hot + 0.1 / 3) * OUTPUTS.log_softmax(1)).sum(1)
    loss = CategoricalLogLoss(0.1)
    torch.testing.assert_close(loss.train()(OUTPUTS, classes), expected)
    torch.testing.assert_close(
        loss.eval()(OUTPUTS, classes), CategoricalLogLoss()(OUTPUTS, classes)
    )


def test_smoothing_of_two_classes_is_the_same_by_either_loss():
    labels = (torch.arange(20) % 2).double()
    odds = OUTPUTS[:, :1]
    both = torch.cat((torch.zeros_like(odds), odds), 1)
    binary, categorical = BinaryLogLoss(0.2), CategoricalLogLoss(0.2)
    torch.testing.assert_close(
        binary(odds, labels[:, None])[:, 0], categorical(both, labels.long())
    )
    torch.testing.assert_close(
        binary.eval()(odds, labels[:, None])[:, 0], categorical.eval()(both, labels.long())
    )


def test_extreme_outputs_have_finite_losses():
    odds = torch.tensor([[1e4], [-1e4]])
    assert BinaryLogLoss()(odds, torch.ones(2, 1)).tolist() == [[0.0], [1e4]]
    assert math.isfinite(CategoricalLogLoss()(1e4 * torch.eye(2), torch.tensor([1, 0])).sum())


@pytest.mark.parametrize("loss", [RegressionLoss("quantile", 0.1), BinaryLogLoss(0.1)])
def test_losses_can_be_pickled(loss):
    again = pickle.loads(pickle.dumps(loss))
    target = (TARGET > 1).double()
    torch.testing.assert_close(again(OUTPUTS, target), loss(OUTPUTS, target))
