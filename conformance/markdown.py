"""A report as Markdown, and the tables that it shares with the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from conformance.grid import DTYPES, ROUTES, golden
from conformance.known_differences import KNOWN
from conformance.peers.table import LIBRARIES
from conformance.tally import CHECKS, Count
from conformance.traps.rows import NOT_OURS, ROWS

if TYPE_CHECKING:
    from conformance.report import Report

NOT_RUN = "not run"
NONE = "–"
ROWS_OF_MATRIX = (
    "DiceLoss", "JaccardLoss", "TverskyLoss", "FBetaLoss",
    "CrossEntropyLoss", "FocalLoss", "LovaszLoss", "Sum", "all losses",
)  # fmt: skip
LEGEND = (
    "A number counts the checks that passed; a dash means that there is no such check. An error in "
    "ulp is that of a value or a gradient in units in the last place of its scale, the condition "
    "number that conformance/golden/README.md defines. Known differences are listed below."
)
TRAPS = f"{len(ROWS) - len(NOT_OURS)} of {len(ROWS)} can be put to a loss of ours."


def cell(counts: Sequence[Count], none: str = NOT_RUN) -> str:
    """Counts in a few characters; `none` if there are none."""
    total = sum(count.total for count in counts)
    if not total:
        return none
    failed = sum(count.failed for count in counts)
    known = sum(count.known for count in counts)
    passed = f"{total - failed:,}" if not failed else f"**{failed:,} FAILED** of {total:,}"
    return passed + (f" ({known} known)" if known else "")


def text(report: Report) -> str:
    """The whole report."""
    parts = [
        f"# Conformance: {report.title}",
        f"**{verdict(report)}**",
        "\n".join(f"- {name}: {value}" for name, value in facts(report)),
        LEGEND,
    ]
    for title, head, rows in sections(report):
        parts += [f"## {title}", table(head, rows)]
    return "\n\n".join(parts) + "\n"


def facts(report: Report) -> list[tuple[str, str]]:
    """Versions, hardware, and the day of each check."""
    days: dict[str, list[str]] = {}
    for check in CHECKS:
        if check in report.dates:
            days.setdefault(report.dates[check], []).append(check)
    ran = "; ".join(f"{day}: {', '.join(checks)}" for day, checks in sorted(days.items()))
    return [*report.facts.items(), ("run on", ran)]


def sections(report: Report) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, head and rows of each table."""
    known = [[k.case, k.backend, k.dtype, k.route, k.reason] for k in KNOWN]
    return [
        ("Losses and checks", ["loss", *CHECKS, "worst error"], matrix(report)),
        (
            "The grid by route and dtype",
            ["route", "dtype", "passed", "golden cases", "worst error"],
            grid(report),
        ),
        ("Laws", ["law", "examples", "in the long run"], laws(report)),
        ("Other libraries", ["library", "expressions that agree"], peers(report)),
        (f"Defects of other libraries: {TRAPS}", ["row", "defect", "here"], traps(report)),
        ("Known differences", ["case", "backend", "dtype", "route", "reason"], known),
    ]


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
    missing = [check for check in CHECKS if empty(report, check) == NOT_RUN]
    some = "peers" in missing and "peers" in report.dates
    named = ", ".join(f"some {check}" if some and check == "peers" else check for check in missing)
    return found + (f" Not run: {named}." if missing else "")


def empty(report: Report, check: str) -> str:
    """What stands where a loss has no counts: the check was not run, or does not concern it."""
    if check == "peers":
        return NOT_RUN if any(row[1] == NOT_RUN for row in peers(report)) else NONE
    return NONE if check in report.dates else NOT_RUN


def matrix(report: Report) -> list[list[str]]:
    """A row for each loss."""
    rows = []
    for loss in ROWS_OF_MATRIX:
        own = [count for count in report.counts if count.loss == loss]
        cells = [cell([c for c in own if c.check == x], empty(report, x)) for x in CHECKS]
        worst = max((c.ulp for c in own), default=0.0)
        rows.append([loss, *cells, f"{worst:.1f} ulp" if worst else NONE])
    return rows


def grid(report: Report) -> list[list[str]]:
    """A row for each route and dtype."""
    found: dict[tuple[str, str], list[Count]] = {}
    for count in report.counts:
        if count.check == "grid" and count.detail:
            route, _, dtype = count.detail.partition(" ")
            found.setdefault((route, dtype), []).append(count)
    order = [(route, dtype) for route in ROUTES for dtype in DTYPES]
    return [
        [
            *key,
            cell(found[key]),
            f"of {sum(key[1] in case.exact_in for case in golden()):,}",
            f"{max(count.ulp for count in found[key]):.1f} ulp",
        ]
        for key in sorted(found, key=order.index)
    ]


def laws(report: Report) -> list[list[str]]:
    """A row for each law, short and long."""
    held: dict[str, dict[str, list[Count]]] = {}
    for count in report.counts:
        if count.check in ("laws", "long laws"):
            name = count.detail.partition(": ")[0].replace("_", " ")
            held.setdefault(name, {}).setdefault(count.check, []).append(count)
    return [
        [name, *(_law(by.get(check, [])) for check in ("laws", "long laws"))]
        for name, by in sorted(held.items())
    ]


def _law(counts: Sequence[Count]) -> str:
    seeds = sorted({seed for count in counts if (seed := count.detail.partition(": ")[2])})
    return "; ".join([cell(counts), *seeds])


def peers(report: Report) -> list[list[str]]:
    """A row for each library with such arrays."""
    found: dict[str, list[Count]] = {}
    for count in report.counts:
        if count.check == "peers" and count.detail:
            found.setdefault(count.detail, []).append(count)
    return [
        [library.name, cell(found.get(library.name, []))]
        for library in LIBRARIES
        if library.arrays == report.backend
    ]


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
