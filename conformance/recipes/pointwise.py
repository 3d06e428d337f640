"""Calls of cross-entropy and focal loss: every option in every mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.cases import Loss
from conformance.recipes.calls import Call, call

Options = dict[str, dict[str, Any]]

SHARED: Options = {
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "class-weights": {"class_weights": (0.5, 2.0, 1.25)},
    "class-weights-none": {"class_weights": (0.5, 2.0, 1.25), "reduction": "none"},
    "class-weights-sum": {"class_weights": (0.5, 2.0, 0.0), "reduction": "sum"},
    "class-weights-smoothing": {"class_weights": (0.5, 2.0, 1.25), "label_smoothing": 0.25},
    "classes": {"classes": (0, 2)},
    "classes-none": {"classes": (1, 2), "reduction": "none"},
    "classes-weights": {"classes": (1, 2), "class_weights": (0.5, 3.0)},
    "classes-reversed-none": {
        "classes": (2, 0),
        "class_weights": (0.5, 3.0),
        "reduction": "none",
    },
    "classes-smoothing": {"classes": (0, 2), "label_smoothing": 0.25},
}
ENTROPY: Options = {"plain": {}, "smoothing": {"label_smoothing": 0.125}}
ENTRY_ENTROPY: Options = {
    "pos-weight": {"pos_weight": 2.5},
    "balance": {"balance": 0.75},
    "balance-auto": {"balance": "auto"},
    "balance-auto-smoothing": {"balance": "auto", "label_smoothing": 0.25},
    "pos-weight-smoothing-none": {
        "pos_weight": 2.5,
        "label_smoothing": 0.25,
        "reduction": "none",
    },
    "balance-sum": {"balance": 0.25, "reduction": "sum"},
}
FOCAL: Options = {
    "plain": {},
    "gamma-0": {"gamma": 0.0},
    "gamma-0.5": {"gamma": 0.5},
    "gamma-1": {"gamma": 1.0},
    "gamma-3.5": {"gamma": 3.5},
    "smoothing": {"label_smoothing": 0.125},
}
ENTRY_FOCAL: Options = {
    "alpha": {"alpha": 0.25},
    "alpha-gamma-0": {"alpha": 0.75, "gamma": 0.0},
    "alpha-smoothing-sum": {"alpha": 0.25, "label_smoothing": 0.25, "reduction": "sum"},
}
CLASS_FOCAL: Options = {
    "alpha": {"alpha": (0.25, 0.5, 0.75)},
    "alpha-smoothing": {"alpha": (0.25, 0.5, 0.75), "label_smoothing": 0.25},
    "alpha-weights-none": {
        "alpha": (0.25, 0.5, 1.0),
        "class_weights": (0.5, 2.0, 1.25),
        "gamma": 1.5,
        "reduction": "none",
    },
}


def calls() -> Iterator[Call]:
    """All of them."""
    for mode in ("binary", "multiclass", "multilabel"):
        yield from _each("CrossEntropyLoss", mode, ENTROPY)
        yield from _each("FocalLoss", mode, FOCAL)
        if mode != "multiclass":
            yield from _each("CrossEntropyLoss", mode, ENTRY_ENTROPY)
            yield from _each("FocalLoss", mode, ENTRY_FOCAL)
        if mode != "binary":
            yield from _each("CrossEntropyLoss", mode, SHARED)
            yield from _each("FocalLoss", mode, SHARED)
            yield from _each(
                "FocalLoss", mode, {f"per-class-{k}": v for k, v in CLASS_FOCAL.items()}
            )
    per_class: Options = {
        "pos-weight-per-class": {"pos_weight": (0.5, 2.0, 3.0)},
        "balance-auto-weights": {"balance": "auto", "class_weights": (0.5, 2.0, 1.25)},
        "balance-auto-classes": {"balance": "auto", "classes": (2, 1), "reduction": "none"},
    }
    yield from _each("CrossEntropyLoss", "multilabel", per_class)
    yield from _each("CrossEntropyLoss", "binary", {k: SHARED[k] for k in ("sum", "none")})
    yield from _each("FocalLoss", "binary", {k: SHARED[k] for k in ("sum", "none")})


def _each(name: str, mode: str, options: Options) -> Iterator[Call]:
    for tag, kwargs in options.items():
        for target in ("labels", "soft"):
            yield call(
                f"{name}/{mode}/{tag}/{target}",
                Loss(name, mode, kwargs),
                c=None if mode == "binary" else 3,
                target=target,
                pred="float32" if tag in ("plain", "smoothing") else "logits",
                weight="pixel" if tag.startswith("balance-auto") else None,
            )
