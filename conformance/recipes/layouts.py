"""Calls that differ in layout: axes, targets, weights, ignored labels, kinds of prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conformance.cases import Loss
from conformance.recipes.calls import Call, call

LOSSES: dict[str, dict[str, Any]] = {
    "DiceLoss": {},
    "TverskyLoss": {"alpha": 0.25, "beta": 0.75, "smooth": 0.5},
    "CrossEntropyLoss": {},
    "FocalLoss": {"gamma": 1.5},
    "LovaszLoss": {"method": "sort"},
}
MODES = ("binary", "multiclass", "multilabel")


def calls() -> Iterator[Call]:
    """All of them."""
    yield from _axes()
    yield from _targets()
    yield from _weights()
    yield from _ignored()
    yield from _probabilities()


def _axes() -> Iterator[Call]:
    places = [((), 1), ((), -1), ((4,), 1), ((4,), -1), ((2, 2), 1), ((2, 2), 2), ((2, 2), -1)]
    places += [((2, 1, 2), 1), ((2, 1, 2), 2), ((2, 1, 2), -2), ((1, 2, 2), -1)]
    for name, own in LOSSES.items():
        for i, (spatial, axis) in enumerate(places):
            mode = ("multiclass", "multilabel")[i % 2] if name != "FocalLoss" else "multilabel"
            reduction = "none" if i % 3 == 0 else "mean"
            kwargs = own | {"class_axis": axis, "reduction": reduction}
            yield call(
                f"layout/{name}/{mode}/{len(spatial)}d-axis{axis}",
                Loss(name, mode, kwargs),
                n=4 if not spatial else 2,
                spatial=spatial,
                target="labels" if mode == "multiclass" else "hard_bool",
            )
        for spatial in ((), (3,), (2, 2), (1, 2, 2)):
            for c, axis in ((None, 1), (1, 1), (1, -1)):
                kwargs = own | {"class_axis": axis, "reduction": "none"}
                yield call(
                    f"layout/{name}/binary/{len(spatial)}d-{'no' if c is None else axis}",
                    Loss(name, "binary", kwargs),
                    n=4 if not spatial else 2,
                    c=c,
                    spatial=spatial,
                )


def _targets() -> Iterator[Call]:
    for name, own in LOSSES.items():
        for mode in MODES:
            for target in ("labels1", "hard_int", "hard_bool", "hard_float"):
                axis = -1 if target == "labels1" else 1
                kwargs = own | {"class_axis": axis}
                yield call(
                    f"target/{name}/{mode}/{target}",
                    Loss(name, mode, kwargs),
                    c=1 if mode == "binary" else 3,
                    target=target,
                )
        loss = Loss(name, "multiclass", own)
        yield call(f"target/{name}/multiclass/two-classes-bool", loss, c=2, target="bool")
        loss = Loss(name, "binary", own)
        yield call(f"target/{name}/binary/bool-no-axis", loss, c=None, target="bool")
        yield call(f"target/{name}/binary/labels1-no-axis", loss, c=None, target="labels1")
        loss = Loss(name, "multilabel", own)
        yield call(
            f"target/{name}/multilabel/one-class", loss, c=1, target="hard_int", spatial=(4,)
        )


def _weights() -> Iterator[Call]:
    kinds = ("pixel", "class1", "full", "pixel_zeros", "class1_zeros", "full_zeros", "bool")
    for i, (name, own) in enumerate(LOSSES.items()):
        if name == "LovaszLoss":
            continue  # among its own
        for j, mode in enumerate(MODES):
            for k, weight in enumerate(kinds):
                soft = (i + j + k) % 2 == 0
                yield call(
                    f"weight/{name}/{mode}/{weight}",
                    Loss(name, mode, own | ({"reduction": "none"} if k == 4 else {})),
                    c=1 if mode == "binary" else 3,
                    target="soft" if soft else "labels",
                    weight=weight,
                )
    squared = Loss("DiceLoss", "multiclass", {"overlap": "squared", "per_image": True})
    yield call("weight/squared-per-image", squared, weight="full_zeros")
    yield call("weight/no-axis", Loss("DiceLoss", "binary"), c=None, weight="pixel_zeros")


def _ignored() -> Iterator[Call]:
    for name, own in LOSSES.items():
        for mode in MODES:
            for ignore in (255, -1, -100, 1):
                kwargs = own | {"ignore_index": ignore}
                if ignore == -100:
                    kwargs["reduction"] = "none"
                yield call(
                    f"ignore/{name}/{mode}/{ignore}",
                    Loss(name, mode, kwargs),
                    c=None if mode == "binary" else 3,
                    spatial=(4,),
                    pred="logits" if ignore != -1 else "float32",
                )
        for mode in ("binary", "multilabel"):
            for target in ("hard_int", "hard_float") + (() if name == "LovaszLoss" else ("soft",)):
                yield call(
                    f"ignore/{name}/{mode}/entries-{target}",
                    Loss(name, mode, own | {"ignore_index": 255}),
                    c=1 if mode == "binary" else 3,
                    target=target,
                )
        kwargs = own | {"ignore_index": 7}
        loss = Loss(name, "multiclass", kwargs | {"class_axis": -1})
        yield call(f"ignore/{name}/with-weights", loss, weight="pixel_zeros", spatial=(2, 3))
    loss = Loss("CrossEntropyLoss", "multilabel", {"balance": "auto", "ignore_index": 255})
    yield call("ignore/balance-auto", loss, target="hard_int", weight="pixel")


def _probabilities() -> Iterator[Call]:
    more: dict[str, dict[str, Any]] = {
        "DiceLoss": {},
        "JaccardLoss": {"overlap": "squared"},
        "TverskyLoss": {"overlap": "product", "gamma": 0.75},
        "FBetaLoss": {"log_loss": True, "beta": 0.5},
        "CrossEntropyLoss": {},
        "FocalLoss": {},
    }
    for name, own in more.items():
        for mode in MODES:
            for pred, target in (
                ("probabilities", "labels"),
                ("probabilities", "soft"),
                ("corners", "soft"),
            ):
                smoothing = (
                    {"label_smoothing": 0.25} if name in ("CrossEntropyLoss", "FocalLoss") else {}
                )
                yield call(
                    f"probabilities/{name}/{mode}/{pred}-{target}",
                    Loss(name, mode, own | smoothing | {"from_logits": False}),
                    c=None if mode == "binary" else 3,
                    pred=pred,
                    target=target,
                )
            if "gamma" not in own:
                yield call(
                    f"probabilities/{name}/{mode}/corners-labels",
                    Loss(name, mode, own | {"from_logits": False}),
                    c=1 if mode == "binary" else 3,
                    pred="corners",
                )
