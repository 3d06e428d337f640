"""What the tests cover, and why the rest is not: docs/coverage.md, from coverage's JSON.

python -m conformance.coverage FILE STRICT

FILE is what the tests cover on NumPy, PyTorch and JAX, STRICT what they cover on array-api-strict:
code for libraries that have no adapter, of which the latter is one. The result is 1 if too little
is covered, or if no reason is known for a gap.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

Measured = dict[str, Any]
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "coverage.md"
GOAL = 98.0

GPU = "needs a CUDA GPU"
GENERIC = "for libraries without an adapter: run on array-api-strict"
TRACED = "run while torch.compile traces, which coverage does not see"

REASONS: tuple[tuple[str, str, str, str], ...] = (
    ("*/adapters/cupy.py", "*", "*", GPU),
    ("*/adapters/__init__.py", "*", "*cupy*", GPU),
    ("*/adapters/__init__.py", "*", "*CUPY*", GPU),
    ("*/adapters/_torch_eager.py", "DeviceBackend*", "*", GPU),
    ("*/adapters/_torch_kernels.py", "EagerKernels.is_hard", "*", GPU),
    ("*/adapters/_torch_eager.py", "EagerBackend.scoring", "*", GPU),
    ("*/adapters/_torch_graph.py", "TorchBackend.*", "*", TRACED),
    ("*/maps/_sweep.py", "_blocks", "*", TRACED),
    ("*/backends.py", "_torch_devices", "*", "needs an Apple GPU"),
    ("*/backends.py", "_cupy*", "*", GPU),
    ("*/__main__.py", "", "*", "run in a process of its own"),
    ("*/losses/lovasz.py", "*", "*1 << 31*", "a histogram of 2^31 places"),
    ("*/losses/lovasz.py", "*", "*b.cast(index, xp.int64)", "a histogram of 2^31 places"),
    ("*/losses/pointwise.py", "PointwiseLoss.apart", "*", "for a loss of one's own"),
    ("*/threads.py", "*", '*"register_at_fork"*', "on Windows only"),
)  # fmt: skip
"""File, function, source line and reason: patterns of fnmatch."""

HEAD = """# What the tests cover

<!-- Written by `nox -s coverage`. -->

Lines and branches of `src/xploss` that `tests/` run on NumPy, PyTorch and JAX, on a CPU, together:
**{percent:.2f} %** of {lines:,} lines and {branches:,} branches.
"""


@dataclass(frozen=True)
class Gap:
    """A line that is not run, or a line from which a branch is not taken."""

    file: str
    line: int
    branch: bool
    text: str
    reason: str


def _reason(*place: str) -> str:
    """The reason of the first row that fits a file, a function and a line."""
    found = (row[3] for row in REASONS if all(map(fnmatchcase, place, row)))
    return next(found, "")


def _functions(source: str) -> dict[int, str]:
    """The function (with its class) of each line that is in one."""
    names: dict[int, str] = {}

    def enter(node: ast.AST, outer: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = outer
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{outer}.{child.name}".strip(".")
                names.update(
                    dict.fromkeys(range(child.lineno, int(child.end_lineno or 0) + 1), name)
                )
            enter(child, name)

    enter(ast.parse(source), "")
    return names


def gaps(measured: Measured, strict: Measured) -> Iterator[Gap]:
    """All gaps, by file and line."""
    for file, row in sorted(measured["files"].items()):
        whole = (ROOT / file).read_text(encoding="utf-8")
        source, functions = whole.splitlines(), _functions(whole)
        missing = set(row["missing_lines"])
        taken = {start for start, _ in row["missing_branches"]} - missing
        other = strict["files"].get(file, {**row, "missing_lines": missing | taken})
        for line in sorted(missing | taken):
            ways = [way for way in row["missing_branches"] if way[0] == line and line in taken]
            left = line in other["missing_lines"] or any(
                w in other["missing_branches"] for w in ways
            )
            code = source[line - 1].strip()
            reason = _reason(file, functions.get(line, ""), code)
            yield Gap(file, line, line in taken, code, reason if left else GENERIC)


def text(measured: Measured, strict: Measured) -> str:
    """The page."""
    total = measured["totals"]
    parts = [
        HEAD.format(
            percent=total["percent_covered"],
            lines=total["num_statements"],
            branches=total["num_branches"],
        ),
        "| file | not run | reason |",
        "| --- | --- | --- |",
        *_rows(gaps(measured, strict)),
    ]
    return "\n".join(parts) + "\n"


def _rows(all_gaps: Iterable[Gap]) -> Iterator[str]:
    """A row for the gaps of a file that have one reason; a file that is not run at all is short."""
    for file, found in groupby(all_gaps, key=lambda gap: gap.file):
        by_reason: dict[str, list[Gap]] = {}
        for gap in found:
            by_reason.setdefault(gap.reason, []).append(gap)
        for reason, some in by_reason.items():
            name = file.removeprefix("src/xploss/")
            yield f"| `{name}` | {_what(some)} | {reason or '**none given**'} |"


def _what(some: list[Gap], most: int = 8) -> str:
    """The code of some gaps, or how many lines they are."""
    if len(some) > most:
        return f"{len(some)} lines"
    shown = (f"`{gap.text.replace('|', chr(92) + '|')}`" for gap in some)
    marked = (f"{code} (one way)" if gap.branch else code for code, gap in zip(shown, some))
    return "; ".join(marked)


def complaints(measured: Measured, strict: Measured) -> list[str]:
    """What is wrong: too little, or a gap without a reason."""
    percent = measured["totals"]["percent_covered"]
    low = [f"{percent:.2f} % is covered, expected {GOAL} %"] if percent < GOAL else []
    bare = [f"{g.file}:{g.line}: {g.text}: not run" for g in gaps(measured, strict) if not g.reason]
    return low + bare


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance.coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("strict", type=Path)
    given = parser.parse_args(arguments)
    measured, strict = (json.loads(path.read_text("utf-8")) for path in (given.file, given.strict))
    PAGE.write_text(text(measured, strict), encoding="utf-8")
    found = complaints(measured, strict)
    print("\n".join(found) or f"{measured['totals']['percent_covered']:.2f} % is covered")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
