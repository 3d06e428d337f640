"""Writes the golden cases, and checks that the files are what the oracle says today.

python -m conformance.golden write
python -m conformance.golden check
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from conformance import oracle
from conformance.cases import FOLDER, FORMAT, Array, Case, encode, rows
from conformance.recipes import Call, recipes
from conformance.recipes.calls import first
from conformance.recipes.draw import Draw, exact_in

RESULTS = ("value", "gradient", "value_scale", "gradient_scale")


def answer(call: Call) -> Case:
    """The case of a call: its value, gradient and scales from the oracle."""
    arrays = (call.loss, call.pred, call.target, call.weight)
    shape, value = oracle.value(*arrays)
    cotangent = None
    if first(call.loss).kwargs.get("reduction") == "none" and call.cotangent == "draw":
        cotangent = Draw(call.name + "#cotangent").cotangent(shape)
    value_scale, gradient_scale = oracle.scales(*arrays, cotangent)
    gradient = oracle.gradient(*arrays, cotangent) if call.differentiable else None
    return Case(
        name=call.name,
        loss=call.loss,
        pred=call.pred,
        target=call.target,
        weight=call.weight,
        cotangent=cotangent,
        value=_array(shape, value),
        gradient=None if gradient is None else _array(call.pred.shape, gradient),
        exact_in=exact_in(call.pred, call.target, call.weight, cotangent),
        value_scale=_array(shape, value_scale, digits=4),
        gradient_scale=_array(call.pred.shape, gradient_scale, digits=4) if gradient else None,
        note=call.note,
    )


def _array(shape: tuple[int, ...], numbers: Iterable[oracle.Number], digits: int = 30) -> Array:
    return Array(shape, "float", tuple(oracle.decimal(v, digits) for v in numbers))


def generate() -> dict[str, list[dict[str, Any]]]:
    """The rows of every golden file."""
    calls = recipes()
    names = [call.name for group in calls.values() for call in group]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"two cases have the same name: {sorted(twice)}")
    with ProcessPoolExecutor(2) as pool:
        return {
            name: [encode(case) for case in pool.map(answer, group, chunksize=8)]
            for name, group in calls.items()
        }


def dump(cases: list[dict[str, Any]]) -> str:
    """A golden file: JSON with one line per field of a case."""
    blocks = [
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in case.items()) + "\n}"
        for case in cases
    ]
    return f'{{"format": {FORMAT}, "cases": [\n' + ",\n".join(blocks) + "\n]}\n"


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The fields of a case that changed; results may differ in their last digits."""
    new = json.loads(json.dumps(new))
    return [
        key
        for key in new.keys() | old.keys()
        if old.get(key) != new.get(key)
        and not (key in RESULTS and _near(old.get(key), new.get(key), key))
    ]


def _near(a: dict[str, Any] | None, b: dict[str, Any] | None, key: str) -> bool:
    if a is None or b is None or a["shape"] != b["shape"]:
        return False
    tolerance = Decimal("1e-2") if key.endswith("scale") else Decimal("1e-25")
    pairs = [(Decimal(u), Decimal(v)) for u, v in zip(a["data"], b["data"], strict=True)]
    return all(abs(u - v) <= tolerance * max(abs(u), abs(v)) for u, v in pairs)


def write(folder: Path) -> int:
    """Writes all golden files; returns how many cases."""
    generated = generate()
    for name, cases in generated.items():
        (folder / f"{name}.json").write_text(dump(cases), encoding="utf-8")
    return sum(len(cases) for cases in generated.values())


def check(folder: Path) -> list[str]:
    """What differs between the files and the oracle, a line each."""
    complaints = []
    generated = generate()
    files = {path.stem for path in folder.glob("*.json")}
    complaints += [f"{name}.json: no such recipe" for name in sorted(files - generated.keys())]
    for name, cases in generated.items():
        stored = (
            {row["name"]: row for row in rows(folder / f"{name}.json")} if name in files else {}
        )
        expected = {row["name"] for row in cases}
        complaints += [f"{row}: not generated any more" for row in stored.keys() - expected]
        for row in cases:
            if row["name"] not in stored:
                complaints.append(f"{row['name']}: missing")
            elif changed := differences(stored[row["name"]], row):
                complaints.append(f"{row['name']}: differs in {', '.join(sorted(changed))}")
    return complaints


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m conformance.golden", description=__doc__)
    parser.add_argument("command", choices=("write", "check"))
    if parser.parse_args(arguments).command == "write":
        print(f"wrote {write(FOLDER)} cases")
        return 0
    complaints = check(FOLDER)
    print("\n".join(complaints) or "the golden cases are what the oracle says")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
