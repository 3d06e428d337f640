"""The reports: what was checked on a backend, written by `pytest conformance --report`.

A report is kept as JSON and shown as a page and as Markdown. A check that a session did not run
keeps what an earlier session found.

python -m conformance.report render     the pages anew from the JSON
python -m conformance.report summary    the matrix of all reports, for the README
python -m conformance.report readme     the same, written between the markers of README.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance import facts, markdown, page
from conformance.tally import CHECKS, Count, decode, encode

FOLDER = Path(__file__).parent / "reports"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- conformance:begin -->", "<!-- conformance:end -->"


@dataclass
class Report:
    """What is known of a backend on a device."""

    backend: str
    device: str
    facts: dict[str, str]
    dates: dict[str, str] = field(default_factory=dict)
    """When each check was last run."""
    counts: list[Count] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.device}"


def write(counts: Iterable[Count], folder: Path = FOLDER) -> list[Path]:
    """Write a report for every backend that was counted."""
    held: dict[str, list[Count]] = {}
    for count in counts:
        held.setdefault(count.backend, []).append(count)
    return [_save(_merged(backend, found, folder), folder) for backend, found in held.items()]


def _merged(backend: str, counts: list[Count], folder: Path) -> Report:
    """The report of a backend with these counts in the place of earlier ones of their checks."""
    name, device = facts.place(backend)
    path = folder / f"{name}-{device}.json"
    report = read(path) if path.exists() else Report(name, device, {})
    ran = {count.check for count in counts}
    report.facts = facts.collect(backend)
    report.dates |= dict.fromkeys(ran, datetime.now(UTC).strftime("%Y-%m-%d"))
    report.counts = [c for c in report.counts if c.check not in ran] + counts
    return report


def _save(report: Report, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{report.name}.json"
    row = asdict(report) | {"counts": [encode(count) for count in report.counts]}
    path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    render(report, folder)
    return path


def render(report: Report, folder: Path) -> None:
    """Write the page and its Markdown twin."""
    (folder / f"{report.name}.html").write_text(page.html(report), encoding="utf-8")
    (folder / f"{report.name}.md").write_text(markdown.text(report), encoding="utf-8")


def read(path: Path) -> Report:
    """A report from its JSON."""
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    row["counts"] = [decode(count) for count in row["counts"]]
    return Report(**row)


def reports(folder: Path = FOLDER) -> list[Report]:
    """All reports, in the order of their names."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def summary(found: Iterable[Report]) -> str:
    """One row for each report, one column for each check, as Markdown."""
    lines = [
        "| backend | " + " | ".join(CHECKS) + " | worst error | date |",
        "| --- |" + " ---: |" * len(CHECKS) + " ---: | --- |",
    ]
    for report in found:
        cells = [markdown.cell([c for c in report.counts if c.check == check]) for check in CHECKS]
        worst = max((c.ulp for c in report.counts if c.check == "grid"), default=0.0)
        link = f"[{report.backend} on {report.device}](conformance/reports/{report.name}.md)"
        date = max(report.dates.values(), default="")
        lines.append(f"| {link} | {' | '.join(cells)} | {worst:.1f} ulp | {date} |")
    return "\n".join(lines)


def readme(path: Path, text: str) -> None:
    """Write the summary between the markers of a file; without markers, a ValueError."""
    whole = path.read_text(encoding="utf-8")
    if BEGIN not in whole or END not in whole:
        raise ValueError(f"{path.name} has no markers; expected a line {BEGIN} and a line {END}")
    head, tail = whole.split(BEGIN)[0], whole.split(END)[1]
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m conformance.report", description=__doc__)
    parser.add_argument("command", choices=("render", "summary", "readme"))
    command = parser.parse_args(arguments).command
    found = reports()
    if command == "render":
        for report in found:
            render(report, FOLDER)
    elif command == "readme":
        readme(README, summary(found))
    else:
        print(summary(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
