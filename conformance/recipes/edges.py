"""Calls at the edges: empty and full masks, nothing valid, one pixel, huge and masked logits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from conformance.cases import Array, Loss
from conformance.recipes.calls import Call, call

ALL: dict[str, dict[str, Any]] = {
    "TverskyLoss": {"alpha": 0.25, "beta": 0.75},
    "DiceLoss": {},
    "JaccardLoss": {},
    "FBetaLoss": {"beta": 2.0},
    "CrossEntropyLoss": {},
    "FocalLoss": {},
    "LovaszLoss": {"method": "sort"},
}
MODES = ("binary", "multiclass", "multilabel")


def calls() -> Iterator[Call]:
    """All of them."""
    for name, own in ALL.items():
        for mode in MODES:
            c = None if mode == "binary" else 3
            yield from _masks(name, mode, own, c)
            yield from _nothing(name, mode, own, c)
            yield from _extreme(name, mode, own, c)
            yield from _masked_class(name, mode, own, c)
    yield from _perfect()
    yield from _samples()


def _masks(name: str, mode: str, own: dict[str, Any], c: int | None) -> Iterator[Call]:
    for tag, labels in (("first-only", (0,)), ("last-only", (1,) if c is None else (c - 1,))):
        yield call(f"edge/{tag}/{name}/{mode}", Loss(name, mode, own), c=c, labels=labels)
    loss = Loss(name, mode, own)
    yield call(f"edge/one-pixel/{name}/{mode}", loss, c=c, labels=(1,), n=1, spatial=(1,))


def _nothing(name: str, mode: str, own: dict[str, Any], c: int | None) -> Iterator[Call]:
    """Every pixel ignored, or of weight 0; predictions of all sorts under them."""
    junk = tuple(Decimal(x) for x in ("nan", "inf", "-inf", "9984", "-9984", "0.5"))
    shape = (2, 3) if c is None else (2, 3, 1)
    pred = Array(shape, "float", junk)
    flat = (2, 3) if c is None else (2, 1)
    pixels = 6 if c is None else 2
    ignored = Array(flat, "int", (255,) * pixels)
    for reduction in ("mean", "none"):
        kwargs = own | {"ignore_index": 255, "reduction": reduction}
        yield Call(
            f"edge/all-ignored-{reduction}/{name}/{mode}", Loss(name, mode, kwargs), pred, ignored
        )
    labels = Array(flat, "int", tuple(i % 2 for i in range(pixels)))
    off = Array(flat, "float", (Decimal(0),) * pixels)
    yield Call(f"edge/all-weight-0/{name}/{mode}", Loss(name, mode, own), pred, labels, off)


def _extreme(name: str, mode: str, own: dict[str, Any], c: int | None) -> Iterator[Call]:
    for pred in ("extreme", "extreme_1e4"):
        kwargs = own | ({"label_smoothing": 0.25} if name == "CrossEntropyLoss" else {})
        target = "labels" if mode != "multilabel" else "hard_int"
        yield call(
            f"edge/{pred}/{name}/{mode}", Loss(name, mode, kwargs), c=c, pred=pred, target=target
        )
    if name == "FocalLoss":
        loss = Loss(name, mode, {"gamma": 0.5})
        yield call(f"edge/extreme-gamma-0.5/{mode}", loss, c=c, pred="extreme")
    if name != "LovaszLoss":
        loss = Loss(name, mode, own)
        yield call(f"edge/logits-30/{name}/{mode}", loss, c=c, pred="far", target="labels")


def _masked_class(name: str, mode: str, own: dict[str, Any], c: int | None) -> Iterator[Call]:
    """Logits of -inf where the target is 0: a class of every pixel, or the negatives of a mask."""
    inf, shape = Decimal("-inf"), (4,) if c is None else (2, 3, 2)
    base = call(
        f"edge/masked/{name}/{mode}", Loss(name, mode, own), c=c, n=shape[0], spatial=shape[2:]
    )
    pixels = (1, 0, 0, 1) if c is None else (0, 1, 1, 0)
    target = Array(shape if c is None else (2, 2), "int", pixels)
    masked = {1, 2} if c is None else {4, 5, 10, 11}  # negatives; class 2
    data = tuple(inf if i in masked else v for i, v in enumerate(base.pred.data))
    pred = Array(shape, "float", data)
    yield Call(base.name, base.loss, pred, target)
    if name in ("CrossEntropyLoss", "FocalLoss"):
        loss = Loss(name, mode, own | {"label_smoothing": 0.25, "reduction": "none"})
        yield Call(f"edge/masked-smoothing/{name}/{mode}", loss, pred, target)


def _perfect() -> Iterator[Call]:
    """The prediction is the target: the score is 1, and gamma < 1 has slope 0 there."""
    hard = Array((2, 3), "float", tuple(Decimal(x) for x in (1, 0, 1, 0, 0, 1)))
    soft = Array((2, 3), "float", tuple(Decimal(x) / 16 for x in (4, 8, 16, 0, 1, 12)))
    empty = Array((2, 3), "float", (Decimal(0),) * 6)
    families: dict[str, dict[str, Any]] = {k: ALL[k] for k in list(ALL)[:4]}
    for name, own in families.items():
        for tag, t in (("hard", hard), ("soft", soft), ("empty", empty)):
            for gamma in (0.5, 1.0, 2.0):
                kwargs = own | {"from_logits": False, "gamma": gamma}
                yield Call(f"edge/perfect-{tag}-{gamma}/{name}", Loss(name, "binary", kwargs), t, t)
        kwargs = own | {"from_logits": False, "log_loss": True}
        yield Call(f"edge/perfect-log/{name}", Loss(name, "binary", kwargs), hard, hard)
        wrong = Array((2, 3), "float", tuple(1 - x for x in hard.data if isinstance(x, Decimal)))
        yield Call(f"edge/all-wrong-log/{name}", Loss(name, "binary", kwargs), wrong, hard)


def _samples() -> Iterator[Call]:
    """Samples without a valid pixel, and samples with nothing counted, are left out of the mean."""
    for name in ("DiceLoss", "JaccardLoss", "LovaszLoss"):
        own = ALL[name] | {"per_image": True}
        base = call(f"edge/dead-sample/{name}", Loss(name, "multiclass", own), n=3)
        dead = Array((3, 3), "int", (*base.target.data[:3], 255, 255, 255, *base.target.data[6:]))
        for reduction in ("mean", "sum", "none"):
            for absent in ("keep", "skip"):
                kwargs = own | {"ignore_index": 255, "reduction": reduction, "absent": absent}
                loss = Loss(name, "multiclass", kwargs)
                yield Call(f"{base.name}/{reduction}-{absent}", loss, base.pred, dead)
        kwargs = own | {"classes": (2,), "absent": "skip"}
        yield call(f"edge/nothing-counted/{name}", Loss(name, "multiclass", kwargs), labels=(0, 1))
        mixed = Array((3, 3), "int", (0, 1, 0, 2, 0, 2, 1, 1, 1))
        yield Call(
            f"edge/uncounted-sample/{name}", Loss(name, "multiclass", kwargs), base.pred, mixed
        )
