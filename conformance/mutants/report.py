"""The report of the planted faults, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from conformance.facts import collect
from conformance.mutants.mutant import Mutant
from conformance.mutants.table import MUTANTS

PATH = Path(__file__).parents[1] / "reports" / "mutations.md"
SURVIVES = "**SURVIVES**"
LIBRARIES = ("array-api-strict", "torch", "jax")

HEAD = """# Planted faults

{found} of {all} faults were found: {conformance} by the conformance suite, {tests} by the tests,
{both} by both.{rest}

Each row is a fault that `python -m conformance.mutations` planted in a copy of the library, and the
first test of either suite that failed because of it. A suite reads "-" where it has no test that
fails; a fault that neither finds survives, and asks for a test. A row is of the last run of its
fault; these are the facts of the last run of any:

{facts}

| fault | file | backend | conformance | tests |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Outcome:
    """What found a fault: a test of each suite, or None."""

    mutant: Mutant
    conformance: str | None
    tests: str | None

    @property
    def survives(self) -> bool:
        """Whether nothing found it."""
        return self.conformance is None and self.tests is None

    @property
    def verdict(self) -> str:
        """What found it, in two cells."""
        if self.survives:
            return f"{SURVIVES} | {SURVIVES}"
        return " | ".join(f"`{t}`" if t else "-" for t in (self.conformance, self.tests))

    def __str__(self) -> str:
        return f"{place(self.mutant)} {self.verdict} |"


def place(mutant: Mutant) -> str:
    """The first cells of a row: the fault, its file and its backend."""
    return f"| {mutant.name} | {mutant.file} | {mutant.backend} |"


def write(outcomes: Sequence[Outcome]) -> Path:
    """Write the report, with the rows of earlier runs for the faults that were not run now."""
    known = {**held(), **{outcome.mutant.name: outcome for outcome in outcomes}}
    rows = [known[mutant.name] for mutant in MUTANTS if mutant.name in known]
    by_conformance = [row for row in rows if row.conformance]
    head = HEAD.format(
        found=sum(not row.survives for row in rows),
        all=len(rows),
        rest=f" {len(MUTANTS) - len(rows)} were not run." if len(rows) < len(MUTANTS) else "",
        conformance=len(by_conformance),
        tests=sum(row.tests is not None for row in rows),
        both=sum(row.tests is not None for row in by_conformance),
        facts="\n".join(f"- {name}: {fact}" for name, fact in _facts().items()),
    )
    lines = (
        str(known.get(mutant.name, f"{place(mutant)} not run | not run |")) for mutant in MUTANTS
    )
    PATH.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return PATH


def held() -> dict[str, Outcome]:
    """The rows of the report as it is."""
    if not PATH.exists():
        return {}
    mutants = {mutant.name: mutant for mutant in MUTANTS}
    held = {}
    for line in PATH.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" `") for cell in line.split("|")[1:-1]]
        mutant = mutants.get(cells[0]) if len(cells) == 5 and "not run" not in cells else None
        if mutant is not None:
            found = [None if cell in ("-", SURVIVES) else cell for cell in cells[3:]]
            held[mutant.name] = Outcome(mutant, *found)
    return held


def _facts() -> dict[str, str]:
    found = {"date": f"{datetime.now(UTC):%Y-%m-%d}", **collect("numpy")}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found
