"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from conformance.known_differences import KNOWN
from conformance.tally import CHECKS, Count
from conformance.traps.rows import NOT_OURS, ROWS

if TYPE_CHECKING:
    from conformance.report import Report

NOT_RUN = "not run"
ROWS_OF_MATRIX = (
    "DiceLoss", "JaccardLoss", "TverskyLoss", "FBetaLoss",
    "CrossEntropyLoss", "FocalLoss", "LovaszLoss", "Sum", "all losses",
)  # fmt: skip
LEGEND = (
    "A cell counts what passed of what was run. An error in ulp is that of a value or gradient in "
    "units in the last place of its scale, the condition that conformance/golden/README.md "
    "defines. Known differences are listed below."
)

TRAPS = f"{len(ROWS) - len(NOT_OURS)} of {len(ROWS)} can be put to a loss of ours."


def cell(counts: Sequence[Count]) -> str:
    """Counts of one loss and check in a few characters."""
    total = sum(count.total for count in counts)
    if not total:
        return NOT_RUN
    failed = sum(count.failed for count in counts)
    known = sum(count.known for count in counts)
    passed = f"{total - failed:,}" if not failed else f"**{failed:,} FAILED** of {total:,}"
    return passed + (f" ({known} known)" if known else "")


def text(report: Report) -> str:
    """The whole report."""
    parts = [
        f"# Conformance: {report.backend} on {report.device}",
        verdict(report),
        "\n".join(f"- {name}: {value}" for name, value in report.facts.items()),
        LEGEND,
        "## Losses and checks",
        table(["loss", *CHECKS, "worst error"], matrix(report)),
        "## The grid by route and dtype",
        table(["route", "dtype", "cases", "worst error"], grid(report)),
        "## Laws",
        table(["law", "examples"], laws(report)),
        "## Defects of other libraries",
        TRAPS,
        table(["row", "defect", "here"], traps(report)),
        "## Known differences",
        table(["case", "dtype", "reason"], [[k.case, k.dtype, k.reason] for k in KNOWN]),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def verdict(report: Report) -> str:
    """One sentence: all passed, or how many failed, and what was not run."""
    failed = sum(count.failed for count in report.counts)
    total = sum(count.total for count in report.counts)
    found = f"{failed:,} of {total:,} checks FAILED." if failed else f"All {total:,} checks passed."
    missing = [check for check in CHECKS if check not in report.dates]
    return found + (f" Not run: {', '.join(missing)}." if missing else "")


def matrix(report: Report) -> list[list[str]]:
    """A row for each loss."""
    rows = []
    for loss in ROWS_OF_MATRIX:
        own = [count for count in report.counts if count.loss == loss]
        cells = [cell([c for c in own if c.check == check]) for check in CHECKS]
        if loss == "all losses":  # what belongs to no single one
            cells = ["" if text == NOT_RUN else text for text in cells]
        worst = max((c.ulp for c in own), default=0.0)
        rows.append([loss, *cells, f"{worst:.1f} ulp" if worst else ""])
    return rows


def grid(report: Report) -> list[list[str]]:
    """A row for each route and dtype."""
    found: dict[str, list[Count]] = {}
    for count in report.counts:
        if count.check == "grid" and count.detail:
            found.setdefault(count.detail, []).append(count)
    return [
        [*detail.split(" "), cell(counts), f"{max(c.ulp for c in counts):.1f} ulp"]
        for detail, counts in found.items()
    ]


def laws(report: Report) -> list[list[str]]:
    """A row for each law."""
    held: dict[str, list[Count]] = {}
    for count in report.counts:
        if count.check == "laws":
            held.setdefault(count.detail, []).append(count)
    rows = []
    for detail, counts in held.items():
        name, _, seed = detail.partition(": ")
        rows.append([name.replace("_", " "), cell(counts) + (f"; {seed}" if seed else "")])
    return rows


def traps(report: Report) -> list[list[str]]:
    """A row for each defect, with what became of it here."""
    held: dict[str, list[Count]] = {}
    for count in report.counts:
        for row in count.detail.split() if count.check == "traps" else ():
            held.setdefault(row, []).append(count)
    found = []
    for row, defect in ROWS.items():
        here = f"does not apply: {NOT_OURS[row]}" if row in NOT_OURS else trapped(held.get(row, []))
        found.append([row, defect, here])
    return found


def trapped(counts: Sequence[Count]) -> str:
    """What became of a defect: absent, present, or not run."""
    if not counts:
        return NOT_RUN
    failed = sum(count.failed for count in counts)
    tests = sum(count.total for count in counts)
    return f"**{failed} of {tests} tests FAILED**" if failed else f"absent ({tests} tests)"
