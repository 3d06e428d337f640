"""Golden cases as Python objects: `load()` reads them all, with the standard library alone.

A case is one call of a loss: the loss, its arrays, the value and the gradient that must come out.
`golden/README.md` describes the files for readers in other languages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

FORMAT = 1
FOLDER = Path(__file__).parent / "golden"

Nested = Any  # a number, or a list of Nested: what numpy.asarray and its like accept


@dataclass(frozen=True)
class Array:
    """Numbers in row-major order with a shape; `kind` is "float", "int" or "bool"."""

    shape: tuple[int, ...]
    kind: str
    data: tuple[Decimal | int | bool, ...]

    def numbers(self) -> list[float | int | bool]:
        """The flat data with floats as Python floats, NaN and infinities included."""
        return [float(x) if isinstance(x, Decimal) else x for x in self.data]

    def nested(self) -> Nested:
        """The data as nested lists, ready for any framework's `asarray`."""

        def take(numbers: Iterator[float | int | bool], shape: tuple[int, ...]) -> Nested:
            if not shape:
                return next(numbers)
            return [take(numbers, shape[1:]) for _ in range(shape[0])]

        return take(iter(self.numbers()), self.shape)


@dataclass(frozen=True)
class Loss:
    """One loss: `getattr(xploss, name)(mode, **kwargs)`."""

    name: str
    mode: str
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = "".join(f", {key}={value!r}" for key, value in self.kwargs.items())
        return f"{self.name}({self.mode!r}{options})"


@dataclass(frozen=True)
class Sum:
    """A weighted sum of losses: the sum of factor * loss over `terms`."""

    terms: tuple[tuple[float, Loss], ...]

    def __str__(self) -> str:
        return " + ".join(f"{factor} * {loss}" for factor, loss in self.terms)


@dataclass(frozen=True)
class Case:
    """One call and what must come out of it.

    `gradient` is None where any of several gradients is right (a tie, a kink). `exact_in` names
    the dtypes that hold all floating inputs without rounding. `value_scale` and `gradient_scale`
    say element by element how much a unit of rounding may move the result: arithmetic of unit
    roundoff u is expected within a small multiple of u times the scale.
    """

    name: str
    loss: Loss | Sum
    pred: Array
    target: Array
    weight: Array | None
    cotangent: Array | None
    value: Array
    gradient: Array | None
    exact_in: tuple[str, ...]
    value_scale: Array
    gradient_scale: Array | None
    note: str


def load(folder: Path = FOLDER) -> list[Case]:
    """Every golden case, in the order of the files and of their rows."""
    return [decode(row) for path in sorted(folder.glob("*.json")) for row in rows(path)]


def rows(path: Path) -> list[dict[str, Any]]:
    """The raw rows of one golden file; a file of another format is an error."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["format"] != FORMAT:
        raise ValueError(
            f"{path.name} has format {content['format']}, this reader knows {FORMAT}; "
            "write the files again with `python -m conformance.golden write`"
        )
    result: list[dict[str, Any]] = content["cases"]
    return result


def decode(row: dict[str, Any]) -> Case:
    """A row of a golden file as a case."""
    return Case(
        name=row["name"],
        loss=_decode_loss(row["loss"]),
        pred=_decode_array(row["pred"]),
        target=_decode_array(row["target"]),
        weight=_decode_optional(row["weight"]),
        cotangent=_decode_optional(row["cotangent"]),
        value=_decode_array(row["value"]),
        gradient=_decode_optional(row["gradient"]),
        exact_in=tuple(row["exact_in"]),
        value_scale=_decode_array(row["value_scale"]),
        gradient_scale=_decode_optional(row["gradient_scale"]),
        note=row["note"],
    )


def encode(case: Case) -> dict[str, Any]:
    """The row that `decode` reads back as `case`."""
    return {
        "name": case.name,
        "note": case.note,
        "loss": _encode_loss(case.loss),
        "exact_in": list(case.exact_in),
        "pred": _encode_array(case.pred),
        "target": _encode_array(case.target),
        "weight": _encode_array(case.weight),
        "cotangent": _encode_array(case.cotangent),
        "value": _encode_array(case.value),
        "gradient": _encode_array(case.gradient),
        "value_scale": _encode_array(case.value_scale),
        "gradient_scale": _encode_array(case.gradient_scale),
    }


def _decode_loss(row: dict[str, Any]) -> Loss | Sum:
    if "sum" in row:
        return Sum(tuple((factor, _decode_single(part)) for factor, part in row["sum"]))
    return _decode_single(row)


def _decode_single(row: dict[str, Any]) -> Loss:
    kwargs = {k: tuple(v) if isinstance(v, list) else v for k, v in row["kwargs"].items()}
    return Loss(row["class"], row["mode"], kwargs)


def _encode_loss(loss: Loss | Sum) -> dict[str, Any]:
    if isinstance(loss, Sum):
        return {"sum": [[factor, _encode_loss(part)] for factor, part in loss.terms]}
    return {"class": loss.name, "mode": loss.mode, "kwargs": loss.kwargs}


def _decode_array(row: dict[str, Any]) -> Array:
    data = [Decimal(x) for x in row["data"]] if row["kind"] == "float" else row["data"]
    return Array(tuple(row["shape"]), row["kind"], tuple(data))


def _decode_optional(row: dict[str, Any] | None) -> Array | None:
    return None if row is None else _decode_array(row)


def _encode_array(array: Array | None) -> dict[str, Any] | None:
    if array is None:
        return None
    data = [_text(x) if isinstance(x, Decimal) else x for x in array.data]
    return {"shape": list(array.shape), "kind": array.kind, "data": data}


def _text(x: Decimal) -> str:
    """A decimal as text: "nan", "inf", "-inf", or the shortest form of all its digits."""
    if not x.is_finite():
        return "nan" if x.is_nan() else "-inf" if x < 0 else "inf"
    return "0" if x == 0 else str(x.normalize()) if abs(x) < 1e-4 else f"{x.normalize():f}"
