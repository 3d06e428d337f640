"""A fault: an exact text of one file, which occurs there once, and what takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "xploss"


@dataclass(frozen=True)
class Mutant:
    """A fault, and the backend on which it shows."""

    name: str
    file: str
    old: str
    new: str
    backend: str = "numpy"

    def apply(self, source: Path) -> None:
        """Plant the fault in a copy of the package; a ValueError where its text is not found."""
        path = source / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"mutant {self.name}: {self.file} has its text {text.count(self.old)} times, "
                "expected once; bring conformance/mutants/ up to date"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
