"""Shapes of a call: with an axis less, and what is likely to be wrong about two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .loss import Term

Shape = tuple[int, ...]


def place(axis: int, ndim: int) -> int:
    """An axis of so many, counted from the first."""
    return axis + ndim if axis < 0 else axis


def without(shape: Shape, axis: int | None) -> Shape:
    """The shape with an axis less."""
    return shape if axis is None else shape[:axis] + shape[axis + 1 :]


def singleton(shape: Shape, axis: int) -> Shape:
    """The shape with length 1 along an axis."""
    return (*shape[:axis], 1, *shape[axis + 1 :])


def among(shape: Shape, others: Sequence[Shape]) -> bool:
    """Whether a shape is one of several.

    Sizes may be symbols, each comparison of which an exported program is bound to.
    """
    return any(len(shape) == len(other) and shape == other for other in others)


def repair(term: Term, pred: Shape, target: Shape, axis: int | None) -> str:
    """What is likely to mend the shape of a target that does not fit that of `pred`.

    `axis` is that of the classes; None in binary mode.
    """
    found = _binary_axes(term, pred, target) if axis is None else _axes(pred, target, axis)
    at = place(term.class_axis, len(pred)) if axis is None else axis
    return found or _sizes(pred, target, at, axis is not None) or "check class_axis"


def _binary_axes(term: Term, pred: Shape, target: Shape) -> str | None:
    axis = place(term.class_axis, len(pred))
    if among(target, [without(pred, axis), singleton(pred, axis)]):
        return 'mode="multiclass" takes one channel per class'
    return None


def _axes(pred: Shape, target: Shape, axis: int) -> str | None:
    others = [a for a in range(1, len(pred)) if without(pred, a) == target]
    if others:
        return f"pass class_axis={others[-1]} if the classes are there"
    for a in range(1, len(pred)):
        if target in (_moved(pred, axis, a), _moved(singleton(pred, axis), axis, a)):
            return f"move axis {a} of target to {axis} if its classes are there"
    return None


def _moved(shape: Shape, axis: int, to: int) -> Shape:
    """The shape with an axis at another place."""
    rest = without(shape, axis)
    return (*rest[:to], shape[axis], *rest[to:])


def _sizes(pred: Shape, target: Shape, axis: int, classes: bool) -> str | None:
    """What sizes tell; `classes` is whether `pred` has some at the axis, and not in binary mode."""
    dropped = classes or (axis < len(pred) and pred[axis] == 1)
    mine = without(pred, axis) if dropped else pred
    if pred[0] == 1 and target in (pred[1:], mine[1:]):
        return "pass target[None] if it is one sample"
    if target == pred[1:]:
        return "pass pred[None] and target[None] if they are one sample"
    dense = len(target) == len(pred)
    theirs = without(target, axis) if dropped and dense else target
    if len(theirs) != len(mine) or sorted(target) == sorted(pred):
        return None
    if theirs[0] != mine[0]:
        return f"pred has {mine[0]} samples and target {theirs[0]}"
    if theirs[1:] != mine[1:]:
        return f"resize one: pred has pixels {mine[1:]}, and target {theirs[1:]}"
    return f"target has {target[axis]} channels for {pred[axis]} of pred"
