"""The losses as one writes them down with whole arrays, for NumPy, CuPy and jax.numpy."""

from __future__ import annotations

from typing import Any

from ..workloads import ALPHA, BETA, GAMMA, Workload

_TVERSKY = {"dice": (0.5, 0.5), "jaccard": (1.0, 1.0), "tversky": (ALPHA, BETA)}


class Naive:
    """A loss and its gradient in plain array code: logits `x`, and a mask or labels `y`."""

    def __init__(self, xp: Any, work: Workload) -> None:
        self.xp, self.work = xp, work
        self.binary = work.mode == "binary"
        self.axes = (0, *range(2, len(work.shape)))
        self.pixels = 1.0
        for axis in self.axes:
            self.pixels *= work.shape[axis]

    def value(self, x: Any, y: Any) -> Any:
        """The value; differentiable where the library differentiates."""
        return sum(getattr(self, f"_{kind}")(x, y)[0] for kind in self._kinds)

    def value_and_grad(self, x: Any, y: Any) -> tuple[Any, Any]:
        """The value and the gradient by the logits."""
        parts = [getattr(self, f"_{kind}")(x, y) for kind in self._kinds]
        gradient = parts[0][1]()
        for part in parts[1:]:
            gradient = gradient + part[1]()
        return sum(part[0] for part in parts), gradient

    @property
    def _kinds(self) -> list[str]:
        return ["region" if k in _TVERSKY else k for k in self._names]

    @property
    def _names(self) -> list[str]:
        return self.work.loss.split("_")

    def _probability(self, x: Any) -> Any:
        xp = self.xp
        if self.binary:
            return 1 / (1 + xp.exp(-x))
        e = xp.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def _target(self, x: Any, y: Any) -> Any:
        if self.binary:
            return y
        shape = (1, -1, *(1,) * (len(x.shape) - 2))
        return (y[:, None] == self.xp.arange(x.shape[1]).reshape(shape)).astype(x.dtype)

    def _back(self, p: Any, g: Any) -> Any:
        """The derivative by the logits from that by the probabilities."""
        if self.binary:
            return g * p * (1 - p)
        return p * (g - (g * p).sum(axis=1, keepdims=True))

    def _region(self, x: Any, y: Any) -> tuple[Any, Any]:
        alpha, beta = _TVERSKY[self._names[0]]
        p, t = self._probability(x), self._target(x, y)
        overlap = (p * t).sum(axis=self.axes, keepdims=True)
        size = p.sum(axis=self.axes, keepdims=True)
        positive = t.sum(axis=self.axes, keepdims=True)
        rest = 1 - alpha - beta
        whole = alpha * size + beta * positive + rest * overlap
        value = (1 - overlap / whole).mean()

        def gradient() -> Any:
            by_overlap = 1 / whole - rest * overlap / whole**2
            by_size = -alpha * overlap / whole**2
            return self._back(p, -(by_overlap * t + by_size) / x.shape[1])

        return value, gradient

    def _log_truth(self, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """The logarithm of the probability of the truth per pixel, p and the target."""
        xp, t = self.xp, self._target(x, y)
        if self.binary:
            z = (2 * y - 1) * x
            return xp.minimum(z, 0) - xp.log1p(xp.exp(-abs(z))), self._probability(x), t
        shifted = x - x.max(axis=1, keepdims=True)
        log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
        return (t * log_p).sum(axis=1, keepdims=True), xp.exp(log_p), t

    def _ce(self, x: Any, y: Any) -> tuple[Any, Any]:
        log_truth, p, t = self._log_truth(x, y)
        return -log_truth.mean(), lambda: (p - t) / self.pixels

    def _focal(self, x: Any, y: Any) -> tuple[Any, Any]:
        log_truth, p, t = self._log_truth(x, y)
        truth = self.xp.exp(log_truth)
        value = (-((1 - truth) ** GAMMA) * log_truth).mean()

        def gradient() -> Any:
            rest = 1 - truth
            by_log = GAMMA * rest ** (GAMMA - 1) * truth * log_truth - rest**GAMMA
            return by_log * (t - p) / self.pixels

        return value, gradient

    def _lovasz(self, x: Any, y: Any) -> tuple[Any, Any]:
        if self.binary:
            sign = 2 * y - 1
            errors = 1 - sign * x
            value, weights = self._extension(errors.reshape(-1), y.reshape(-1))
            return value, lambda: (-sign.reshape(-1) * weights * (errors.reshape(-1) > 0)).reshape(
                x.shape
            )
        p, t = self._probability(x), self._target(x, y)
        classes = range(x.shape[1])
        parts = [
            self._extension(abs(t - p)[:, c].reshape(-1), t[:, c].reshape(-1)) for c in classes
        ]
        value = sum(part[0] for part in parts) / len(parts)

        def gradient() -> Any:
            shape = (x.shape[0], 1, *x.shape[2:])
            weights = self.xp.concatenate([part[1].reshape(shape) for part in parts], axis=1)
            return self._back(p, weights * (1 - 2 * t) / len(parts))

        return value, gradient

    def _extension(self, errors: Any, truth: Any) -> tuple[Any, Any]:
        """The Lovász extension of the Jaccard loss and its weights, by sorting."""
        xp = self.xp
        order = xp.argsort(-errors)
        hit = truth[order]
        union = hit.sum() + (1 - hit).cumsum()
        jaccard = 1 - (hit.sum() - hit.cumsum()) / union
        steps = xp.concatenate([jaccard[:1], jaccard[1:] - jaccard[:-1]])
        value = (xp.maximum(errors[order], 0) * steps).sum()
        return value, steps[xp.argsort(order)]
