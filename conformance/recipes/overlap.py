"""Calls of Dice, Jaccard, Tversky and F-beta: every option in every mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.cases import Loss
from conformance.recipes.calls import Call, call

MODES = ("binary", "multiclass", "multilabel")
FAMILY: dict[str, dict[str, Any]] = {
    "TverskyLoss": {"alpha": 0.25, "beta": 0.625},
    "DiceLoss": {},
    "JaccardLoss": {},
    "FBetaLoss": {"beta": 2.0},
}
SCORES: dict[str, dict[str, Any]] = {
    "plain": {},
    "smooth": {"smooth": 0.75},
    "log": {"log_loss": True},
    "log-smooth": {"log_loss": True, "smooth": 1.0},
    "gamma-0.75": {"gamma": 0.75},
    "gamma-2": {"gamma": 2.0},
    "product": {"overlap": "product"},
    "squared": {"overlap": "squared"},
}
CLASSES: dict[str, dict[str, Any]] = {
    "per-image": {"per_image": True},
    "sum": {"reduction": "sum"},
    "sum-per-image": {"reduction": "sum", "per_image": True},
    "none": {"reduction": "none"},
    "none-per-image": {"reduction": "none", "per_image": True},
    "micro": {"average": "micro"},
    "micro-none": {"average": "micro", "reduction": "none"},
    "micro-none-per-image": {"average": "micro", "reduction": "none", "per_image": True},
    "micro-per-image": {"average": "micro", "per_image": True},
    "class-weights": {"class_weights": (0.5, 2.0, 1.25)},
    "class-weights-none": {"class_weights": (0.5, 2.0, 1.25), "reduction": "none"},
    "class-weights-sum": {"class_weights": (0.5, 2.0, 1.25), "reduction": "sum"},
    "class-weights-per-image": {"class_weights": (0.5, 2.0, 0.0), "per_image": True},
    "classes": {"classes": (0, 2)},
    "classes-weights-none": {
        "classes": (1, 2),
        "class_weights": (0.5, 3.0),
        "reduction": "none",
        "per_image": True,
    },
    "classes-reversed": {"classes": (2, 0), "class_weights": (0.5, 3.0), "reduction": "none"},
    "classes-micro": {"classes": (1, 2), "average": "micro"},
}


def calls() -> Iterator[Call]:
    """All of them."""
    yield from _scores()
    yield from _classes()
    yield from _absent()
    yield from _own()


def _scores() -> Iterator[Call]:
    for name, own in FAMILY.items():
        for mode in MODES:
            for tag, kwargs in SCORES.items():
                for target in ("labels", "soft"):
                    yield call(
                        f"{name}/{mode}/{tag}/{target}",
                        Loss(name, mode, own | kwargs),
                        c=None if mode == "binary" else 3,
                        target=target,
                        pred="float32" if tag in ("plain", "gamma-2") else "logits",
                    )


def _classes() -> Iterator[Call]:
    names = list(FAMILY)
    for i, (tag, kwargs) in enumerate(CLASSES.items()):
        for j, mode in enumerate(("multiclass", "multilabel")):
            name = names[(i + j) % 4]
            yield call(
                f"{name}/{mode}/{tag}",
                Loss(name, mode, FAMILY[name] | kwargs),
                n=3 if kwargs.get("per_image") else 2,
                target="labels" if mode == "multiclass" else "hard_int",
            )
    for tag in ("per-image", "sum-per-image", "none", "none-per-image", "micro"):
        yield call(f"DiceLoss/binary/{tag}", Loss("DiceLoss", "binary", CLASSES[tag]), n=3, c=1)


def _absent() -> Iterator[Call]:
    names = list(FAMILY)
    options: list[dict[str, Any]] = [
        {},
        {"per_image": True},
        {"reduction": "none"},
        {"reduction": "none", "per_image": True},
        {"class_weights": (0.5, 2.0, 1.25)},
        {"average": "micro", "per_image": True},
        {"overlap": "squared", "smooth": 0.5},
    ]
    for i, more in enumerate(options):
        for j, absent in enumerate(("keep", "skip", "zero")):
            for mode in ("multiclass", "multilabel"):
                name = names[(i + j) % 4]
                kwargs = FAMILY[name] | more | {"absent": absent}
                tag = "-".join([absent, *(str(v) for v in more.values())])
                yield call(f"{name}/{mode}/absent-{tag}", Loss(name, mode, kwargs), labels=(0, 2))
    for absent in ("keep", "skip", "zero"):
        loss = Loss("JaccardLoss", "binary", {"absent": absent, "per_image": True, "smooth": 0.25})
        yield call(f"JaccardLoss/binary/absent-{absent}", loss, c=None, labels=(0,))


def _own() -> Iterator[Call]:
    tversky = {"defaults": {}, "fp": {"alpha": 1.0, "beta": 0.0}, "fn": {"alpha": 0.0, "beta": 1.0}}
    for tag, kwargs in tversky.items():
        yield call(f"TverskyLoss/own/{tag}", Loss("TverskyLoss", "multiclass", dict(kwargs)))
    for beta in (0.0, 0.5, 1.0):
        yield call(f"FBetaLoss/own/{beta}", Loss("FBetaLoss", "multilabel", {"beta": beta}))
    focal = {"alpha": 0.25, "beta": 0.75, "gamma": 0.5, "per_image": True, "reduction": "none"}
    yield call("TverskyLoss/own/focal", Loss("TverskyLoss", "multiclass", focal))
