"""Bad arrays by type, namespace, device, rank, shape and dtype: refused under any tracing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from conformance.bad.rows import DICE, LOSSES, B, L, M, P, Row, T, Z, bad
from tests.libraries import Library
from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, JaccardLoss, Loss, LovaszLoss

ONE_LIBRARY = "expected arrays of one library"
NOTHING = "nothing is broadcast"
ONES = np.ones(T.shape)


def _shapes() -> Iterator[Row]:
    """Shapes of pred and target: (mode, class axis, pred, target, fragments)."""
    table: tuple[tuple[Any, int, tuple[int, ...], tuple[int, ...], tuple[str, ...]], ...] = (
        (M, 1, (2, 3, 4), (2, 5), ("target has shape (2, 5)", "(2, 4) or (2, 1, 4)")),
        (
            M,
            1,
            (2, 3, 4),
            (1, 4),
            ("target has shape (1, 4)", "(2, 4)", "pred has 2 samples", NOTHING),
        ),
        (M, 1, (2, 3, 4), (4,), ("target has shape (4,)", NOTHING)),
        (M, 1, (2, 3, 4), (), ("target has shape ()", NOTHING)),
        (M, 1, (2, 3, 4), (2, 4, 3), ("target has shape (2, 4, 3)", "move axis 2 of target to 1")),
        (M, 1, (2, 3, 4), (2, 2, 4), ("target has shape (2, 2, 4)", NOTHING)),
        (M, 1, (2, 3, 4), (2, 4, 1), ("target has shape (2, 4, 1)", "move axis 2 of target to 1")),
        (M, 1, (2, 3, 4), (2, 1, 1, 4), ("target has shape (2, 1, 1, 4)", NOTHING)),
        (M, 1, (2, 3, 4, 5), (2, 5, 4), ("target has shape (2, 5, 4)", "(2, 4, 5)")),
        (M, 1, (2, 3, 4, 5), (2, 1, 5, 4), ("target has shape (2, 1, 5, 4)", NOTHING)),
        (M, 1, (2, 3, 4, 5, 6), (2, 4, 5), ("target has shape (2, 4, 5)", NOTHING)),
        (M, -1, (2, 3, 4), (2, 4), ("class_axis=-1", "(2, 3) or (2, 3, 1)")),
        (M, 2, (2, 3, 4), (2, 4), ("class_axis=2", "(2, 3)")),
        (M, 1, (2,), (2,), ("pred has shape (2,)", "class_axis is 1", "(N, C, *S)")),
        (M, 3, (2, 3, 4), (2, 4), ("class_axis is 3", "(N, C, *S)")),
        (M, -3, (2, 3, 4), (3, 4), ("class_axis is -3", "(N, C, *S)")),
        (M, -4, (2, 3, 4), (2, 4), ("class_axis is -4", "(N, C, *S)")),
        (M, 1, (), (), ("pred has shape ()", "(N, C, *S)")),
        (M, 1, (2, 1, 4), (2, 4), ("pred has shape (2, 1, 4)", 'use mode="binary"')),
        (L, 1, (2, 3, 4), (3, 4), ("target has shape (3, 4)", NOTHING)),
        (L, 1, (2, 3, 4), (2, 4, 3), ("target has shape (2, 4, 3)", "move axis 2 of target to 1")),
        (L, 1, (2, 3, 4), (2, 3), ("target has shape (2, 3)", NOTHING)),
        (L, 1, (2,), (2,), ("pred has shape (2,)", "class_axis is 1")),
        (L, 1, (), (), ("pred has shape ()", "(N, C, *S)")),
        (B, 1, (2, 4), (4,), ("target has shape (4,)", "(2, 4)", NOTHING)),
        (B, 1, (2, 4), (2, 5), ("target has shape (2, 5)", "(2, 4)", NOTHING)),
        (B, 1, (2, 4), (1, 4), ("target has shape (1, 4)", NOTHING)),
        (B, 1, (2, 4), (2, 4, 4), ("target has shape (2, 4, 4)", NOTHING)),
        (B, 1, (2, 2, 4), (2, 4), ("pred (2, 2, 4)", 'mode="multiclass" takes one channel')),
        (B, 1, (2, 4, 1), (2, 4), ("pred (2, 4, 1)", NOTHING)),
        (B, -1, (2, 1, 4), (2, 4), ("class_axis=-1", NOTHING)),
        (B, 1, (4, 5, 5), (4, 5, 5, 5), ("pred (4, 5, 5)", NOTHING)),
        (B, 1, (), (), ("pred has shape ()", "add a batch axis")),
    )
    for mode, axis, pred, target, says in table:
        loss = DiceLoss(mode, class_axis=axis)
        name = f"shape-{mode}-{axis}-{_text(pred)}-{_text(target)}"
        yield bad(name, loss, ValueError, *says, pred=np.zeros(pred), target=_labels(target))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _labels(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, dtype=np.int64)


def _empty() -> Iterator[Row]:
    for mode, shape in ((M, (0, 3, 4)), (M, (2, 3, 0)), (L, (2, 0, 4)), (B, (0, 4)), (B, (2, 0))):
        target = shape if mode == B else (shape[0], *shape[2:])
        says = "empty batch is undefined", str(shape), "pass at least one sample and one pixel"
        for kind in (DiceLoss, FocalLoss, LovaszLoss):
            name = f"empty-{kind.__name__}-{mode}-{_text(shape)}"
            loss = kind(mode)
            yield bad(name, loss, ValueError, *says, pred=np.zeros(shape), target=_labels(target))


def _weights() -> Iterator[Row]:
    says: tuple[str, ...]
    says = "expected weight of shape", NOTHING
    for shape in ((4,), (1, 4), (2, 1), (2, 5), (2, 4, 3), (2, 2, 4), (2, 4, 1), (1, 3, 4), ()):
        came = f"weight has shape {shape}"
        yield bad(f"weight-{_text(shape)}", DICE, ValueError, came, *says, weight=np.ones(shape))
    for shape in ((1, 1), (2, 4, 4), (4,)):
        given = {"pred": np.zeros((2, 4)), "target": _labels((2, 4)), "weight": np.ones(shape)}
        came = f"weight has shape {shape}"
        yield bad(f"weight-binary-{_text(shape)}", DiceLoss(B), ValueError, came, *says, **given)
    for dtype in ("int64", "uint8", "complex128"):
        says = "weight has dtype", dtype, "expected a floating or bool dtype", "to float32"
        yield bad(f"weight-{dtype}", DICE, TypeError, *says, weight=ONES.astype(dtype))


def _dtypes() -> Iterator[Row]:
    says: tuple[str, ...]
    floating = "expected a floating dtype", "convert pred to float32"
    for dtype in ("int64", "int32", "uint8", "bool", "complex128", "complex64"):
        for loss in (DICE, FocalLoss(M)):
            name = f"pred-{dtype}-{type(loss).__name__}"
            yield bad(
                name, loss, TypeError, "pred has dtype", dtype, *floating, pred=Z.astype(dtype)
            )
    for dtype in ("float64", "float32", "complex128"):
        for loss in LOSSES:
            name = f"labels-{dtype}-{type(loss).__name__}"
            says = "target has shape (2, 4)", dtype, "expected labels of an integer or bool dtype"
            yield bad(name, loss, TypeError, *says, "for example to int64", target=T.astype(dtype))
    says = "complex128", "expected an integer, bool or float dtype"
    yield bad("dense-complex", DiceLoss(L), TypeError, *says, target=P.astype("complex128"))


def _types() -> Iterator[Row]:
    """Things that are no arrays of the library of pred."""
    for name, given in (("list", Z.tolist()), ("None", None), ("number", 1.0), ("str", "logits")):
        says = "pred is a", "expected an array of NumPy, PyTorch, JAX, CuPy", "convert it"
        yield bad(f"pred-{name}", DICE, TypeError, *says, pred=given)
    for name, given in (("list", T.tolist()), ("None", None), ("number", 1), ("str", "labels")):
        yield bad(f"target-{name}", DICE, TypeError, "target is a", ONE_LIBRARY, target=given)
    for name, given in (("list", ONES.tolist()), ("number", 1.0), ("str", "ones"), ("True", True)):
        yield bad(f"weight-{name}", DICE, TypeError, "weight is a", ONE_LIBRARY, weight=given)


def _foreign() -> Iterator[Row]:
    """Arrays of another library than that of pred."""

    def call(name: str) -> Any:
        def spoiled(xp: Library, arrays: dict[str, Any]) -> Any:
            given = {"pred": Z, "target": T, "weight": ONES}
            other = np if xp.name != "numpy" else import_module("array_api_strict")
            held = {k: other.asarray(v) if k == name else arrays[k] for k, v in given.items()}
            return DICE(held["pred"], held["target"], weight=held["weight"])

        return spoiled

    def skip(xp: Library) -> str:
        if xp.name == "numpy":
            try:
                import_module("array_api_strict")
            except ImportError:
                return "array_api_strict is not installed"
        return ""

    arrays = {"pred": Z, "target": T, "weight": ONES}
    for name, first in (("pred", "target"), ("target", "target"), ("weight", "weight")):
        says = f"{first} is a", ONE_LIBRARY, f"convert {first} to a"
        yield Row(f"foreign-{name}", call(name), TypeError, says, arrays, skip)


def _devices() -> Iterator[Row]:
    """Arrays on another device than that of pred, where a second one can be had."""

    def skip(xp: Library) -> str:
        return "" if xp.family in ("torch", "strict") else f"one device of {xp.name}"

    def move(xp: Library, x: Any) -> Any:
        if xp.name == "strict":
            return xp.namespace.asarray(x, device=xp.Device("device1"))
        return x.to("meta" if x.device.type == "cpu" else "cpu")

    def call(name: str) -> Any:
        def spoiled(xp: Library, arrays: dict[str, Any]) -> Any:
            held = {k: move(xp, x) if k == name else x for k, x in arrays.items()}
            return DICE(held["pred"], held["target"], weight=held["weight"])

        return spoiled

    arrays = {"pred": Z, "target": T, "weight": ONES}
    for name in ("target", "weight"):
        says = f"{name} is on device", "expected one device", f"move {name} to"
        yield Row(f"device-{name}", call(name), ValueError, says, arrays, skip)


def _parameters() -> Iterator[Row]:
    """Parameters that do not fit the arrays of a call."""
    kind: type[Loss]
    loss: Loss
    dense = "ignore_index is 255", "target is dense", "pass labels of shape (2, 4)", "weight=0"
    for kind in (DiceLoss, CrossEntropyLoss, LovaszLoss):
        loss = kind(M, ignore_index=255)
        yield bad(f"ignore-dense-{kind.__name__}", loss, ValueError, *dense, target=P)
    outside = "classes is (0, 3)", "pred has 3 classes", "expected class indices in 0..2"
    for kind in (JaccardLoss, FocalLoss, LovaszLoss):
        loss = kind(M, classes=(0, 3))
        yield bad(f"classes-outside-{kind.__name__}", loss, ValueError, *outside)
    count = "numbers for 3 counted classes", "expected one number per counted class"
    for name, loss in (
        ("class_weights", DiceLoss(M, class_weights=(1, 2))),
        ("class_weights", CrossEntropyLoss(M, class_weights=(1, 2, 3, 4))),
        ("class_weights", LovaszLoss(L, class_weights=(1,))),
        ("alpha", FocalLoss(M, alpha=(0.5, 0.5))),
        ("alpha", FocalLoss(L, alpha=(0.5, 0.5, 0.5, 0.5))),
        ("pos_weight", CrossEntropyLoss(L, pos_weight=(1, 2))),
    ):
        yield bad(f"{name}-count-{loss!r}", loss, ValueError, name, *count)


ARRAYS: tuple[Row, ...] = (
    *_shapes(),
    *_empty(),
    *_weights(),
    *_dtypes(),
    *_types(),
    *_foreign(),
    *_devices(),
    *_parameters(),
)
