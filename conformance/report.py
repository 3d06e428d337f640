"""The reports: what was checked on a backend, written by `pytest conformance --report`.

A report is kept as JSON and shown as a page and as Markdown. A check that a session did not run
keeps what an earlier session found.

python -m conformance.report render     the pages anew from the JSON
python -m conformance.report readme     the matrix of all reports, between the markers of README.md
python -m conformance.report check      1 if a page or the matrix is not what these would write
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from conformance import facts, markdown, page, summary
from conformance.tally import Count, decode, encode, merged

FOLDER = Path(__file__).parent / "reports"
README = Path(__file__).parents[1] / "README.md"


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

    @property
    def title(self) -> str:
        return summary.PLACES.get(self.name, self.name)


def write(counts: Iterable[Count], folder: Path = FOLDER) -> list[Path]:
    """Write a report for every backend that was counted."""
    held: dict[str, list[Count]] = {}
    for count in counts:
        held.setdefault(count.backend, []).append(count)
    return [_save(_updated(backend, found, folder), folder) for backend, found in held.items()]


def _updated(backend: str, counts: list[Count], folder: Path) -> Report:
    """The report of a backend with these counts in the place of earlier ones of their checks."""
    name, device = facts.place(backend)
    path = folder / f"{name}-{device}.json"
    report = read(path) if path.exists() else Report(name, device, {})
    ran = set(map(_part, counts))
    report.facts = facts.collect(backend)
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    report.dates |= {count.check: today for count in counts}
    report.counts = merged([*(c for c in report.counts if _part(c) not in ran), *counts])
    return report


def _part(count: Count) -> tuple[str, str]:
    """What a run replaces: a whole check, but of peers only those that are installed."""
    return count.check, count.detail if count.check == "peers" else ""


def _save(report: Report, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{report.name}.json"
    head = {name: x for name, x in vars(report).items() if name != "counts"}
    rows = ",\n  ".join(json.dumps(encode(count)) for count in report.counts)
    opened = json.dumps(head, indent=1).removesuffix("\n}")
    path.write_text(f'{opened},\n "counts": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
    for suffix, text in pages(report):
        path.with_suffix(suffix).write_text(text, encoding="utf-8")
    return path


def pages(report: Report) -> Iterator[tuple[str, str]]:
    """The page and its Markdown twin, each with its suffix."""
    yield ".html", page.html(report)
    yield ".md", markdown.text(report)


def read(path: Path) -> Report:
    """A report from its JSON."""
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    row["counts"] = [decode(count) for count in row["counts"]]
    return Report(**row)


def reports(folder: Path = FOLDER) -> list[Report]:
    """All reports, in the order of their names."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def written(folder: Path = FOLDER) -> dict[Path, str]:
    """What the pages and the README should hold, by the JSON of the reports."""
    found = reports(folder)
    held = {folder / f"{r.name}{suffix}": text for r in found for suffix, text in pages(r)}
    return held | {README: summary.placed(README.read_text(encoding="utf-8"), found)}


def stale(folder: Path = FOLDER) -> list[str]:
    """The names of the pages that are not what the JSON of the reports says."""
    return [
        path.name
        for path, text in written(folder).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m conformance.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("render", "readme", "check"))
    command = parser.parse_args(arguments).command
    if command == "check":
        print("\n".join(f"{name} is not up to date" for name in stale()) or "all up to date")
        return 1 if stale() else 0
    for path, text in written().items():
        if (path == README) == (command == "readme"):
            path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
