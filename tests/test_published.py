"""Equal to torch's own losses, and to the focal loss that torchvision publishes."""

from typing import Any

import numpy as np
import pytest

from xploss import CrossEntropyLoss, FocalLoss

SEEDS = range(3)
WEIGHTS = (0.5, 2.0, 1.0, 0.25, 3.0)


def equal(torch: Any, ours: Any, theirs: Any, largest: float = 0.0) -> None:
    """Value within 4 ulp, or 4 of `largest`; the gradient within 4 ulp of its largest entry."""
    (value, gradient), (expected, slopes) = ours, theirs
    if largest:
        tolerance = 4 * np.finfo(np.float64).eps
        torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance * largest)
    else:
        np.testing.assert_array_max_ulp(value.numpy(), expected.numpy(), maxulp=4)
    tolerance = 4 * torch.finfo(torch.float64).eps * float(slopes.abs().max())
    torch.testing.assert_close(gradient, slopes, rtol=0, atol=tolerance)


def differentiate(torch: Any, function: Any, x: Any) -> tuple[Any, Any]:
    z = x.clone().requires_grad_()
    value = function(z)
    (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def case(torch: Any, seed: int, *shape: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    z = torch.tensor(3 * rng.normal(size=shape))
    return z, torch.tensor(rng.integers(0, shape[1], (shape[0], *shape[2:])))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy(
    torch: Any, weights: Any, smoothing: float, reduction: Any, seed: int
) -> None:
    z, labels = case(torch, seed, 2, 5, 7, 6)
    labels[:, 2:4] = -100
    loss = CrossEntropyLoss(
        "multiclass",
        class_weights=weights,
        label_smoothing=smoothing,
        reduction=reduction,
        ignore_index=-100,
    )
    own = None if weights is None else torch.tensor(weights).double()

    def theirs(x: Any) -> Any:
        return torch.nn.functional.cross_entropy(
            x, labels, weight=own, label_smoothing=smoothing, reduction=reduction
        )

    # a confident pixel costs the logarithm of a sum next to 1, which each rounds in its order
    largest = 1.0 if reduction == "none" else 0.0
    ours = differentiate(torch, lambda x: loss(x, labels), z)
    equal(torch, ours, differentiate(torch, theirs, z), largest)


@pytest.mark.parametrize("seed", SEEDS)
def test_cross_entropy_of_soft_targets(torch: Any, seed: int) -> None:
    z, _ = case(torch, seed, 2, 5, 7)
    soft = torch.softmax(case(torch, seed + 100, 2, 5, 7)[0], 1)
    ours = differentiate(torch, lambda x: CrossEntropyLoss("multiclass")(x, soft), z)
    theirs = differentiate(torch, lambda x: torch.nn.functional.cross_entropy(x, soft), z)
    equal(torch, ours, theirs)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("pos_weight", [None, (2.0, 0.5, 3.0)])
def test_binary_cross_entropy(torch: Any, pos_weight: Any, reduction: Any, seed: int) -> None:
    z, _ = case(torch, seed, 2, 3, 5, 4)
    target = torch.tensor(np.random.default_rng(seed).random((2, 3, 5, 4)))
    weight = torch.tensor(np.random.default_rng(seed + 9).random((2, 5, 4)))
    loss = CrossEntropyLoss("multilabel", pos_weight=pos_weight, reduction=reduction)
    own = None if pos_weight is None else torch.tensor(pos_weight).double()[:, None, None]
    # torch takes (1 - t)·z - log sigmoid(z), which rounds a pixel's cost like its logit
    largest = float(z.abs().max()) if reduction == "none" else 0.0
    for hard in (target, (target > 0.5).double()):
        theirs = differentiate(
            torch,
            lambda x, t=hard: torch.nn.functional.binary_cross_entropy_with_logits(
                x, t, pos_weight=own, reduction=reduction
            ),
            z,
        )
        equal(torch, differentiate(torch, lambda x, t=hard: loss(x, t), z), theirs, largest)
    if reduction != "mean":  # torch's mean does not divide by the weights
        theirs = differentiate(
            torch,
            lambda x: torch.nn.functional.binary_cross_entropy_with_logits(
                x, target, weight=weight[:, None], pos_weight=own, reduction=reduction
            ),
            z,
        )
        ours = differentiate(torch, lambda x: loss(x, target, weight=weight), z)
        equal(torch, ours, theirs, largest)


def published_focal(torch: Any, x: Any, t: Any, alpha: float, gamma: float) -> Any:
    """The formula of torchvision's sigmoid_focal_loss: BCE·(1 − p_t)^γ·α_t; alpha < 0: none."""
    p = torch.sigmoid(x)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
    p_t = p * t + (1 - p) * (1 - t)
    cost = entropy * (1 - p_t) ** gamma
    return cost if alpha < 0 else (alpha * t + (1 - alpha) * (1 - t)) * cost


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.25, 0.8, -1])
@pytest.mark.parametrize("gamma", [2.0, 0.5, 3.0])
def test_focal(torch: Any, gamma: float, alpha: float, seed: int) -> None:
    z, _ = case(torch, seed, 2, 3, 5, 4)
    t = torch.tensor(np.random.default_rng(seed).integers(0, 2, (2, 3, 5, 4))).double()
    given = None if alpha < 0 else alpha
    for reduction in ("none", "mean"):
        loss = FocalLoss("multilabel", gamma=gamma, alpha=given, reduction=reduction)
        ours = differentiate(torch, lambda x, f=loss: f(x, t), z)
        value, slopes = differentiate(
            torch, lambda x: published_focal(torch, x, t, alpha, gamma), z
        )
        if reduction == "mean":
            value, slopes = value.mean(), slopes / z.numel()
        torch.testing.assert_close(ours[0], value, rtol=1e-13, atol=1e-16)
        torch.testing.assert_close(ours[1], slopes, rtol=1e-12, atol=1e-16)
