"""Calls without their answers, and the making of them from a short description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from conformance.cases import Array, Loss, Sum
from conformance.recipes.draw import (
    Draw,
    as_kind,
    dense_shape,
    indices,
    one_hot,
    poisoned,
)
from conformance.recipes.kinks import has_kink

Axis = int


@dataclass(frozen=True)
class Call:
    """A case before the oracle has seen it."""

    name: str
    loss: Loss | Sum
    pred: Array
    target: Array
    weight: Array | None = None
    cotangent: str = "draw"  # for reduction "none": draw one, or "ones" for none
    note: str = ""
    differentiable: bool = True


def first(loss: Loss | Sum) -> Loss:
    """A loss of the expression: its layout is that of all."""
    return loss.terms[0][1] if isinstance(loss, Sum) else loss


def call(
    name: str,
    loss: Loss | Sum,
    *,
    n: int = 2,
    c: int | None = 3,
    spatial: Sequence[int] = (3,),
    pred: str = "logits",
    target: str = "labels",
    labels: Sequence[int] | None = None,
    weight: str | None = None,
    poison: bool = True,
    ties: bool = False,
    **rest: Any,
) -> Call:
    """Draws the arrays of a call; draws again while the loss has a kink there.

    `c` is the length of the class axis (None: binary without one), `labels` the classes that occur,
    `pred` a method of Draw, `target` and `weight` a kind (see `_target`, `_weight`). With an
    `ignore_index` about a third of the pixels is ignored. Unread logits are poisoned.
    """
    one = first(loss)
    axis = one.kwargs.get("class_axis", 1)
    shape = dense_shape(n, c, spatial, axis)
    for attempt in range(200):
        draw = Draw(f"{name}#{attempt}")
        x = getattr(draw, pred)(shape)
        t = _target(draw, target, one, shape, c, axis, labels)
        w = _weight(draw, weight, shape, c, axis)
        t, dead = _ignore(draw, one, t)
        if one.kwargs.get("from_logits", True) and poison:
            x = _poison(one, x, t, w, dead, axis if c is not None else None)
        if ties or not has_kink(loss, x, t, w):
            return Call(name, loss, x, t, w, differentiable=not ties, **rest)
    raise ValueError(f"{name}: no drawing without a kink")


def _target(
    draw: Draw,
    kind: str,
    loss: Loss,
    shape: tuple[int, ...],
    c: int | None,
    axis: int,
    classes: Sequence[int] | None,
) -> Array:
    """labels, labels1 (class axis of length 1), bool, hard_int, hard_bool, hard_float, soft."""
    binary = loss.mode == "binary"
    flat = shape if c is None else without(shape, axis)
    present = classes if classes is not None else range(2 if binary or c is None else c)
    kind, _, dtype = kind.partition("_")
    if kind == "soft":
        return draw.shares(shape, axis) if loss.mode == "multiclass" else draw.soft(shape)
    if kind == "hard" and loss.mode == "multilabel":
        return as_kind(draw.bits(shape), dtype)
    t = draw.labels(flat, list(present))
    if kind == "hard":
        same = Array(shape, t.kind, t.data) if binary else one_hot(t, c or 1, axis)
        return as_kind(same, dtype)
    if kind == "labels1":
        return Array(dense_shape(flat[0], 1, flat[1:], axis), t.kind, t.data)
    return as_kind(t, "bool") if kind == "bool" else t


def _weight(
    draw: Draw, kind: str | None, shape: tuple[int, ...], c: int | None, axis: int
) -> Array | None:
    """pixel, class1 (class axis of length 1), full, each also with _zeros; bool."""
    if kind is None:
        return None
    flat = shape if c is None else without(shape, axis)
    kind, _, zeros = kind.partition("_")
    where = {"full": shape, "class1": dense_shape(flat[0], 1, flat[1:], axis)}.get(kind, flat)
    if kind != "bool":
        return draw.weights(where, zeros=bool(zeros))
    off = draw.some(prod(where))
    return Array(where, "bool", tuple(i not in off for i in range(prod(where))))


def _ignore(draw: Draw, loss: Loss, t: Array) -> tuple[Array, set[int]]:
    """Sets about a third of the target to the ignored label; where, as flat positions."""
    ignore = loss.kwargs.get("ignore_index")
    if ignore is None:
        return t, set()
    dead = set(draw.some(len(t.data)))
    sample = as_kind(Array((1,), "int", (ignore,)), t.kind).data[0]
    return Array(
        t.shape, t.kind, tuple(sample if i in dead else v for i, v in enumerate(t.data))
    ), dead


def _poison(
    loss: Loss, x: Array, t: Array, w: Array | None, dead: set[int], axis: int | None
) -> Array:
    """Poisons the logits that ignored labels and weights of 0 leave unread."""
    off = set() if w is None else {i for i, v in enumerate(w.data) if v == 0}
    for array, positions in ((t, dead), (w, off)):
        if array is None or not positions:
            continue
        entries = array.shape == x.shape
        if entries and loss.mode == "multiclass":
            continue  # the softmax of the pixel's other classes reads it
        shape = x.shape if entries or axis is None else without(x.shape, axis)
        at = {index for i, index in enumerate(indices(shape)) if i in positions}
        x = poisoned(x, None if entries or axis is None else axis, at)
    return x


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """The shape without its class axis."""
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]
