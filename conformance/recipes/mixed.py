"""Calls with several options at once, drawn at random: what each option does to the others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from conformance.cases import Loss
from conformance.recipes.calls import Call, call

COUNT = 160
REGIONS = ("TverskyLoss", "DiceLoss", "JaccardLoss", "FBetaLoss", "LovaszLoss")
PIXELS = ("CrossEntropyLoss", "FocalLoss")
WEIGHTS = (None, None, "pixel", "pixel_zeros", "class1", "full", "full_zeros", "bool")
SPATIAL: tuple[tuple[int, ...], ...] = ((3,), (4,), (2, 2), (1, 2, 2))


def calls() -> Iterator[Call]:
    """All of them."""
    for i in range(COUNT):
        rng = random.Random(f"mixed/{i}")
        mode = rng.choice(("binary", "multiclass", "multiclass", "multilabel"))
        name = rng.choice(REGIONS if i % 5 < 3 else PIXELS)
        kwargs = _shared(rng, name, mode) | _own(rng, name, mode)
        target = rng.choice(_targets(name, mode))
        if "ignore_index" in kwargs and mode == "multiclass":
            target = "labels"
        given = not kwargs.get("from_logits", True)
        yield call(
            f"mixed/{i:03}/{name}/{mode}",
            Loss(name, mode, kwargs),
            n=rng.choice((1, 2, 3)),
            c=rng.choice((None, 1)) if mode == "binary" else 3,
            spatial=rng.choice(SPATIAL[:1] if name == "LovaszLoss" else SPATIAL),
            pred="probabilities" if given else rng.choice(("logits", "logits", "float32")),
            target=target,
            weight=rng.choice(WEIGHTS),
        )


def _targets(name: str, mode: str) -> tuple[str, ...]:
    hard = ("labels", "labels1", "hard_int", "hard_float")
    return hard if name == "LovaszLoss" else (*hard, "soft", "soft")


def _some(rng: random.Random, choices: dict[str, tuple[Any, ...]], chance: float) -> dict[str, Any]:
    return {k: rng.choice(v) for k, v in choices.items() if rng.random() < chance}


def _shared(rng: random.Random, name: str, mode: str) -> dict[str, Any]:
    choices: dict[str, tuple[Any, ...]] = {
        "reduction": ("none", "sum", "mean"),
        "class_axis": (-1, 1),
        "ignore_index": (255, -1, 0),
        "from_logits": (False,),
    }
    kwargs = _some(rng, choices, 0.4)
    if mode != "binary" and rng.random() < 0.4:
        kwargs["classes"] = rng.choice(((0, 1), (1, 2), (2,), (0, 2)))
    if mode != "binary" and rng.random() < 0.4:
        counted = len(kwargs.get("classes", (0, 1, 2)))
        kwargs["class_weights"] = tuple(rng.choice((0.5, 1.0, 2.25, 3.0)) for _ in range(counted))
    return kwargs


def _own(rng: random.Random, name: str, mode: str) -> dict[str, Any]:
    if name == "LovaszLoss":
        choices: dict[str, tuple[Any, ...]] = {
            "per_image": (True,),
            "absent": ("keep", "skip", "zero"),
        }
        if mode != "multiclass":
            choices |= {"surrogate": ("probability",)}
        return {"method": "sort"} | _some(rng, choices, 0.5)
    if name == "FocalLoss":
        choices = {"gamma": (0.0, 0.5, 1.0, 3.0), "label_smoothing": (0.25,)}
        if mode != "multiclass":
            choices |= {"alpha": (0.25, 0.75)}
        return _some(rng, choices, 0.5)
    if name == "CrossEntropyLoss":
        own = _some(rng, {"label_smoothing": (0.125, 0.5)}, 0.5)
        if mode != "multiclass":
            own |= rng.choice(({}, {"pos_weight": 3.0}, {"balance": 0.625}, {"balance": "auto"}))
        return own
    return _overlap(rng, name)


def _overlap(rng: random.Random, name: str) -> dict[str, Any]:
    choices: dict[str, tuple[Any, ...]] = {
        "per_image": (True,),
        "smooth": (0.5, 1.0),
        "overlap": ("product", "squared", "min"),
        "absent": ("skip", "zero"),
    }
    choices |= rng.choice(({"gamma": (0.75, 1.5)}, {"log_loss": (True,)}))
    if name == "TverskyLoss":
        choices |= {"alpha": (0.25, 0.375), "beta": (0.5, 0.625)}
    if name == "FBetaLoss":
        choices |= {"beta": (0.5, 2.0)}
    return _some(rng, choices, 0.5)
