"""A linear classifier of pixels, trained by the gradient of a loss in any array library."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xploss import Loss

from .scene import Mask, Scene

Floats = NDArray[np.float32]
STEPS = 120
RATE = 0.1


class Score(NamedTuple):
    """How good a prediction is on the right half of the picture, and the loss on the left."""

    loss: float
    iou: float
    dice: float


@dataclass(frozen=True)
class Run:
    """What came of one loss: scores, the logits (H, W) before and after, and the time taken."""

    name: str
    before: Score
    after: Score
    start: Floats
    logits: Floats
    seconds: float


def train(
    name: str,
    loss: Loss,
    scene: Scene,
    features: Floats,
    asarray: Callable[[Any], Any],
    tick: Callable[[], object],
) -> Run:
    """Train on the left half of `scene`, with arrays that `asarray` makes."""
    left = features[:, : scene.middle].reshape(-1, features.shape[-1])
    target = scene.mask[:, : scene.middle].reshape(1, -1)
    start = np.random.default_rng(0).normal(scale=0.1, size=left.shape[1]).astype(np.float32)
    began = time.perf_counter()
    theta, first, last = descend(loss, asarray(left), asarray(target), asarray(start), tick)
    seconds = time.perf_counter() - began
    before, after = features @ start, features @ to_numpy(theta)
    return Run(
        name,
        Score(first, *overlap(before, scene)),
        Score(last, *overlap(after, scene)),
        before,
        after,
        seconds,
    )


def descend(
    loss: Loss, features: Any, target: Any, theta: Any, tick: Callable[[], object]
) -> tuple[Any, float, float]:
    """Adam on θ for the logits z = Xθ: dL/dθ = Xᵀ·dL/dz, and dL/dz is what the loss gives."""
    mean = square = 0.0 * theta
    values = []
    for step in range(1, STEPS + 1):
        value, pull = loss.value_and_grad((features @ theta)[None, :], target)
        slope = features.T @ pull[0, :]
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope * slope
        change = (mean / (1 - 0.9**step)) / ((square / (1 - 0.99**step)) ** 0.5 + 1e-12)
        theta = theta - RATE * change
        values.append(value)
        tick()
    return theta, float(values[0]), float(values[-1])


def overlap(logits: Floats, scene: Scene) -> tuple[float, float]:
    """IoU and Dice of the thresholded prediction, on the right half."""
    found: Mask = logits[:, scene.middle :] > 0
    truth = scene.mask[:, scene.middle :]
    both, either = (found & truth).sum(), (found | truth).sum()
    return float(both / either), float(2 * both / (both + either))


def to_numpy(array: Any) -> Floats:
    """A copy on the host, also from a GPU."""
    return np.asarray(array.get() if hasattr(array, "get") else array)
