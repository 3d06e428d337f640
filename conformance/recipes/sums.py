"""Calls of weighted sums of losses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from conformance.cases import Loss, Sum
from conformance.recipes.calls import Call, call

PARTS: dict[str, dict[str, Any]] = {
    "DiceLoss": {"smooth": 0.5},
    "TverskyLoss": {"alpha": 0.25, "beta": 0.75, "gamma": 0.75},
    "CrossEntropyLoss": {"label_smoothing": 0.125},
    "FocalLoss": {"gamma": 1.5},
    "LovaszLoss": {"method": "sort"},
}


def calls() -> Iterator[Call]:
    """All of them."""
    for mode in ("binary", "multiclass", "multilabel"):
        for a, b in combinations(PARTS, 2):
            loss = Sum(((1.0, Loss(a, mode, PARTS[a])), (0.5, Loss(b, mode, PARTS[b]))))
            yield call(f"sum/{mode}/{a}+{b}", loss, c=None if mode == "binary" else 3)
        loss = Sum(
            tuple(
                (f, Loss(k, mode, v)) for f, (k, v) in zip(_factors(), PARTS.items(), strict=True)
            )
        )
        yield call(f"sum/{mode}/all", loss, c=None if mode == "binary" else 3, weight="pixel_zeros")
    yield from _mixed()


def _factors() -> tuple[float, ...]:
    return (1.0, -0.5, 2.0, 0.25, 1.5)


def _mixed() -> Iterator[Call]:
    """Terms that differ in mode, classes, ignored labels and kind of prediction."""
    modes = Sum(((1.0, Loss("DiceLoss", "multiclass")), (0.5, Loss("FocalLoss", "multilabel"))))
    yield call("sum/mixed/modes", modes)
    classes = Sum(
        (
            (1.0, Loss("DiceLoss", "multiclass", {"classes": (1, 2)})),
            (1.0, Loss("CrossEntropyLoss", "multiclass", {"class_weights": (0.25, 1.0, 2.0)})),
        )
    )
    yield call("sum/mixed/classes", classes)
    reductions = Sum(
        (
            (0.25, Loss("JaccardLoss", "multilabel", {"reduction": "sum"})),
            (2.0, Loss("CrossEntropyLoss", "multilabel", {"pos_weight": 2.0})),
        )
    )
    yield call("sum/mixed/reductions", reductions, target="hard_int", weight="full")
    ignored = {"ignore_index": 255, "class_axis": -1}
    both = Sum(tuple((1.0, Loss(k, "multiclass", v | ignored)) for k, v in PARTS.items()))
    yield call("sum/mixed/ignored", both, spatial=(2, 2), weight="pixel")
    none = {"reduction": "none"}
    pixels = Sum(
        (
            (1.0, Loss("CrossEntropyLoss", "multiclass", none)),
            (3.0, Loss("FocalLoss", "multiclass", none)),
        )
    )
    yield call("sum/mixed/none-pixels", pixels)
    regions = Sum(
        (
            (1.0, Loss("DiceLoss", "multilabel", none)),
            (3.0, Loss("LovaszLoss", "multilabel", none | {"method": "sort"})),
        )
    )
    yield call("sum/mixed/none-classes", regions)
    given = {"from_logits": False}
    probabilities = Sum(
        ((1.0, Loss("DiceLoss", "binary", given)), (0.5, Loss("FocalLoss", "binary", given)))
    )
    yield call("sum/mixed/probabilities", probabilities, c=1, pred="probabilities", target="soft")
