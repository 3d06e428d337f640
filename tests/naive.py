"""Naive versions of the losses, straight from their formulas, in dense float64 arrays.

Written for NumPy, torch and jax.numpy alike, so that torch and JAX differentiate them. Arrays
are (N, C, n); nothing is stabilised, so logits have to be moderate.
"""

from typing import Any

import numpy as np

Array = Any


def lay_out(loss: Any, x: np.ndarray) -> np.ndarray:
    """An array in the shape of `pred` as (N, C, n)."""
    if loss.mode == "binary":
        return x.reshape(x.shape[0], 1, -1)
    x = np.moveaxis(x, loss.class_axis, 1)
    return x.reshape(*x.shape[:2], -1)


def prepare(
    loss: Any, pred: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, dense target and weight as (N, C, n); the weight is 0 where a pixel is ignored."""
    z = lay_out(loss, np.asarray(pred, dtype=np.float64))
    classes = z.shape[1]
    if weight is None:
        w = np.ones(z.shape)
    elif weight.shape == pred.shape:
        w = lay_out(loss, weight)
    else:
        w = weight.reshape(z.shape[0], 1, -1)
    w = w * np.ones(z.shape)
    ignored = target == loss.ignore_index if loss.ignore_index is not None else target != target
    if target.shape == pred.shape or loss.mode == "binary":
        t, gone = lay_out(loss, target), lay_out(loss, ignored)
    else:
        labels = target.reshape(z.shape[0], 1, -1)
        t = labels == np.arange(classes)[:, None]
        gone = ignored.reshape(labels.shape)
    w = np.where(gone, 0.0, w)
    return z, np.where(w == 0, 0.0, t).astype(np.float64), w


def value(xp: Any, loss: Any, z: Array, t: Array, w: Array) -> Array:
    """The value of a loss, or of a weighted sum."""
    total = 0.0
    for factor, term in loss.terms:
        kinds = {"CrossEntropyLoss": _pointwise, "FocalLoss": _pointwise, "LovaszLoss": _lovasz}
        total = total + factor * kinds.get(type(term).__name__, _overlap)(xp, term, z, t, w)
    return total


def activate(xp: Any, loss: Any, z: Array) -> Array:
    if not loss.from_logits:
        return z
    if loss.mode == "multiclass":
        e = xp.exp(z)
        return e / xp.sum(e, axis=1, keepdims=True)
    return 1 / (1 + xp.exp(-z))


def counted(loss: Any, classes: int) -> list[int]:
    return list(range(classes)) if loss.classes is None else list(loss.classes)


def _per_class(given: Any, count: int) -> list[float]:
    return list(given) if isinstance(given, tuple) else [1.0 if given is None else given] * count


def score(loss: Any, i: Array, p: Array, t: Array) -> tuple[Array, Array]:
    """Numerator and denominator of the score of one class, as the loss is documented."""
    name, s = type(loss).__name__, loss.smooth
    if name == "DiceLoss":
        return 2 * i + s, p + t + s
    if name == "JaccardLoss":
        return i + s, p + t - i + s
    if name == "TverskyLoss":
        return i + s, i + loss.alpha * (p - i) + loss.beta * (t - i) + s
    b = loss.beta**2
    return (1 + b) * i + s, (1 + b) * i + b * (t - i) + (p - i) + s


def _overlap(xp: Any, loss: Any, z: Array, t: Array, w: Array) -> Array:
    axes = (2,) if loss.per_image else (0, 2)
    p = activate(xp, loss, z)
    both = xp.where(p < t, p, t) if loss.overlap == "min" else p * t
    power = 2 if loss.overlap == "squared" else 1
    sums = [xp.sum(x, axis=axes) for x in (w * both, w * p**power, w * t**power)]
    classes = counted(loss, z.shape[1])
    sums = [xp.stack([s[..., c] for c in classes], -1) for s in sums]
    if loss.average == "micro":
        sums = [xp.sum(s, axis=-1)[..., None] for s in sums]
    overlap, predicted, mass = sums
    top, bottom = score(loss, overlap, predicted, mass)
    ratio = xp.where(bottom == 0, xp.ones_like(top), top / xp.where(bottom == 0, top + 1, bottom))
    if loss.log_loss:
        losses = -xp.log((ratio + 1e-7) / (1 + 1e-7))
    else:
        wrong = 1 - ratio
        losses = wrong if loss.gamma == 1 else xp.where(wrong > 0, wrong, 0 * wrong) ** loss.gamma
    return _reduce(xp, loss, losses, mass, w)


def _lovasz(xp: Any, loss: Any, z: Array, t: Array, w: Array) -> Array:
    """Σ of the sorted errors times the differences of the Jaccard loss, as the paper has it."""
    hinge = loss.surrogate == "hinge" and loss.mode != "multiclass" and loss.from_logits
    errors = 1 - (2 * t - 1) * z if hinge else abs(t - activate(xp, loss, z))
    errors = xp.where(errors > 0, errors, 0 * errors)
    regions = [slice(n, n + 1) for n in range(z.shape[0])] if loss.per_image else [slice(None)]
    rows = []
    for region in regions:
        row = []
        for c in counted(loss, z.shape[1]):
            e, fore, mass = (xp.reshape(x[region, c, :], (-1,)) for x in (errors, t * w, w))
            order = xp.argsort(-xp.where(mass > 0, e, e * 0 - 1))
            total = xp.sum(fore)
            gone = xp.cumsum(fore[order], 0)
            union = total + xp.cumsum(mass[order], 0) - gone
            jaccard = 1 - (total - gone) / xp.where(union > 0, union, union * 0 + 1)
            jaccard = xp.where(union > 0, jaccard, 0 * jaccard)
            steps = jaccard - xp.concatenate([0 * jaccard[:1], jaccard[:-1]])
            row.append(xp.stack([xp.sum(e[order] * steps), total]))
        rows.append(xp.stack(row))
    table = xp.stack(rows) if loss.per_image else rows[0]
    return _reduce(xp, loss, table[..., 0], table[..., 1], w)


def _reduce(xp: Any, loss: Any, losses: Array, mass: Array, w: Array) -> Array:
    """Losses per class, and per sample with per_image, as the reduction has them."""
    weights = xp.stack(
        [
            mass[..., k] * 0 + f
            for k, f in enumerate(_per_class(loss.class_weights, mass.shape[-1]))
        ],
        -1,
    )
    # a sample without any valid pixel is left out
    size = xp.sum(w, axis=(1, 2) if loss.per_image else (0, 1, 2))[..., None]
    weights = xp.where(size > 0, weights, 0 * weights)
    if loss.absent == "skip":
        weights = xp.where(mass > 0, weights, 0 * weights)
    if loss.absent == "zero":
        losses = xp.where(mass > 0, losses, 0 * losses)
    terms = weights * losses
    if loss.reduction == "none":
        return terms
    if loss.reduction == "sum":
        return xp.sum(terms)
    divisor = xp.sum(weights, axis=-1)
    per_sample = xp.sum(terms, axis=-1) / xp.where(divisor > 0, divisor, divisor * 0 + 1)
    samples = xp.sum(xp.where(divisor > 0, divisor * 0 + 1, divisor * 0))
    return xp.sum(per_sample) / (samples if samples > 0 else 1)


def _pointwise(xp: Any, loss: Any, z: Array, t: Array, w: Array) -> Array:
    number, multiclass = z.shape[1], loss.mode == "multiclass"
    classes = counted(loss, number)
    gamma = getattr(loss, "gamma", 0.0)
    p = activate(xp, loss, z)
    clipped = p if loss.from_logits else xp.clip(p, 1e-7, 1 - 1e-7)
    even = loss.label_smoothing / (number if multiclass else 2)
    smooth = t * (1 - loss.label_smoothing) + even
    weights = _per_class(loss.class_weights, len(classes))
    alpha = _per_class(getattr(loss, "alpha", None), len(classes))
    planes, divisor = [], 0.0
    for k, c in enumerate(classes):
        positive, negative = _sides(xp, loss, k, t[:, c, :], w[:, c, :])
        if getattr(loss, "alpha", None) is not None:
            positive, negative = alpha[k], 1 - alpha[k]
        q = 1 - p[:, c, :]
        plane = -smooth[:, c, :] * positive * q**gamma * xp.log(clipped[:, c, :])
        if not multiclass:
            plane = plane - (1 - smooth[:, c, :]) * negative * p[:, c, :] ** gamma * xp.log(
                1 - clipped[:, c, :]
            )
        planes.append(weights[k] * w[:, c, :] * plane)
        divisor = divisor + weights[k] * xp.sum(w[:, c, :] * (t[:, c, :] if multiclass else 1))
    if loss.reduction == "none":
        return sum(planes) if multiclass else xp.stack(planes, 1)
    total = sum(xp.sum(plane) for plane in planes)
    return total / (divisor if divisor > 0 else 1) if loss.reduction == "mean" else total


def _sides(xp: Any, loss: Any, k: int, t: Array, w: Array) -> tuple[Any, Any]:
    """The factors of the positives and the negatives of cross-entropy."""
    balance = getattr(loss, "balance", None)
    if balance == "auto":
        total = xp.sum(w)
        share = xp.sum(w * (1 - t)) / xp.where(total > 0, total, total + 1)
        return share, 1 - share
    if balance is not None:
        return balance, 1 - balance
    given = getattr(loss, "pos_weight", None)
    return (given[k] if isinstance(given, tuple) else 1.0 if given is None else given), 1.0


def lovasz_weights(fore: np.ndarray) -> np.ndarray:
    """1/U at a foreground pixel and I/(U(U - 1)) at another, by descending error."""
    left = fore.sum() - np.cumsum(fore)
    union = left + np.arange(1, fore.size + 1)
    return np.where(fore == 1, 1 / union, left / union / np.maximum(union - 1, 1))
