"""Calls of the Lovasz losses: softmax, hinge and probability errors, ties, weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.cases import Loss
from conformance.recipes.calls import Call, call

SORT = {"method": "sort"}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "per-image": {"per_image": True},
    "sum": {"reduction": "sum"},
    "sum-per-image": {"reduction": "sum", "per_image": True},
    "none": {"reduction": "none"},
    "none-per-image": {"reduction": "none", "per_image": True},
    "class-weights": {"class_weights": (0.5, 2.0, 1.25)},
    "classes-none": {"classes": (1, 2), "reduction": "none"},
    "classes-weights": {"classes": (0, 2), "class_weights": (0.5, 3.0)},
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax": ("multiclass", {}),
    "hinge": ("multilabel", {}),
    "errors": ("multilabel", {"surrogate": "probability"}),
}


def calls() -> Iterator[Call]:
    """All of them."""
    for kind, (mode, own) in KINDS.items():
        for tag, kwargs in OPTIONS.items():
            yield _one(f"{kind}/{tag}", mode, own | kwargs, n=2)
        for absent in ("keep", "skip", "zero"):
            for tag in ("plain", "per-image", "none-per-image"):
                kwargs = own | OPTIONS[tag] | {"absent": absent}
                yield _one(f"{kind}/absent-{absent}-{tag}", mode, kwargs, labels=(0, 2))
        yield _one(f"{kind}/absent-default", mode, own, labels=(0, 1))
        for weight in ("pixel", "pixel_zeros", "class1", "full", "full_zeros", "bool"):
            yield _one(f"{kind}/weight-{weight}", mode, own, weight=weight)
        yield _one(f"{kind}/ignored", mode, own | {"ignore_index": 255}, spatial=(4,))
        yield _one(f"{kind}/ignored-weights", mode, own | {"ignore_index": -1}, weight="pixel")
        yield _one(f"{kind}/float32", mode, own, pred="float32", spatial=(2, 2))
        for target in ("hard_int", "hard_bool", "hard_float"):
            yield _one(f"{kind}/{target}", mode, own, target=target)
        given = own | {"from_logits": False}
        yield _one(f"{kind}/probabilities", mode, given, pred="probabilities", spatial=(2,))
        yield _one(f"{kind}/ties", mode, own, pred="few", spatial=(2, 3), ties=True)
        yield _one(f"{kind}/ties-weights", mode, own, pred="few", weight="pixel", ties=True)
    yield from _binary()
    yield from _methods()


def _binary() -> Iterator[Call]:
    for surrogate in ("hinge", "probability"):
        own = {"surrogate": surrogate}
        for tag in ("plain", "per-image", "sum-per-image", "none", "none-per-image"):
            yield _one(
                f"{surrogate}/{tag}", "binary", own | OPTIONS[tag], c=None, n=3, spatial=(4,)
            )
        for tag, labels in (("empty", (0,)), ("full", (1,))):
            for absent in ("keep", "skip", "zero"):
                kwargs = own | {"absent": absent}
                yield _one(f"{surrogate}/{tag}-{absent}", "binary", kwargs, c=1, labels=labels)
        for n, spatial in ((1, ()), (4, ()), (1, (1, 1))):
            name = f"{surrogate}/tiny-{n}-{len(spatial)}"
            yield _one(name, "binary", own, c=None, n=n, spatial=spatial, labels=(1, 0)[:n])
        for weight in ("pixel", "pixel_zeros", "bool"):
            yield _one(f"{surrogate}/weight-{weight}", "binary", own, c=1, weight=weight)
        per_image = own | {"per_image": True, "ignore_index": 2}
        yield _one(f"{surrogate}/ignored", "binary", per_image, c=None, spatial=(4,))
        given = own | {"from_logits": False}
        yield _one(f"{surrogate}/given", "binary", given, c=1, pred="probabilities")
    exact = {"from_logits": False, "surrogate": "probability"}
    yield _one("exact-probabilities", "binary", exact, c=None, n=1, spatial=(2,), pred="corners")


def _methods() -> Iterator[Call]:
    note = "a histogram is exact to its bins: compare at 1e-7 (value), 1e-4 (gradient)"
    for mode in ("binary", "multiclass", "multilabel"):
        for tag, kwargs in (("default", {}), ("histogram", {"method": "histogram"})):
            yield call(
                f"LovaszLoss/{mode}/method-{tag}",
                Loss("LovaszLoss", mode, kwargs),
                c=None if mode == "binary" else 3,
                note=note,
            )


def _one(tag: str, mode: str, kwargs: dict[str, Any], **rest: Any) -> Call:
    return call(f"LovaszLoss/{mode}/{tag}", Loss("LovaszLoss", mode, SORT | kwargs), **rest)
