"""The page of what is covered lists every gap with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conformance import coverage

NONE: dict[str, Any] = {"files": {}}


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two gaps: a line that is not run, and an `if` that goes one way only."""
    monkeypatch.setattr(coverage, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("if x | y:\n    f()\ng()\n", encoding="utf-8")
    file = {"missing_lines": [3], "missing_branches": [[1, 3], [3, 4]]}
    totals = {"percent_covered": 99.0, "num_statements": 3, "num_branches": 2}
    return {"files": {"a.py": file}, "totals": totals}


def test_gaps_are_lines_and_branches(measured: dict[str, Any]) -> None:
    branch, line = coverage.gaps(measured, NONE)
    assert (branch.line, branch.branch, branch.text) == (1, True, "if x | y:")
    assert (line.line, line.branch, line.text) == (3, False, "g()")


def test_a_gap_without_a_reason_is_a_complaint(measured: dict[str, Any]) -> None:
    assert coverage.complaints(measured, NONE) == [
        "a.py:1: if x | y:: not run",
        "a.py:3: g(): not run",
    ]
    assert r"| `a.py` | `if x \| y:` (one way); `g()` | **none given** |" in coverage.text(
        measured, NONE
    )


def test_a_reason_is_shown(measured: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (("a.py", "", "g()", "needs a GPU"), ("*.py", "*", "if *", "is rare"))
    monkeypatch.setattr(coverage, "REASONS", rows)
    assert coverage.complaints(measured, NONE) == []
    assert "| `a.py` | `g()` | needs a GPU |" in coverage.text(measured, NONE)


def test_too_little_is_a_complaint(measured: dict[str, Any]) -> None:
    measured["totals"]["percent_covered"] = 97.5
    assert coverage.complaints(measured, NONE)[0] == "97.50 % is covered, expected 98.0 %"


def test_a_line_that_array_api_strict_runs_has_its_reason(measured: dict[str, Any]) -> None:
    strict = {"files": {"a.py": {"missing_lines": [2], "missing_branches": [[1, 3]]}}}
    assert coverage.complaints(measured, strict) == ["a.py:1: if x | y:: not run"]
    assert f"| `g()` | {coverage.GENERIC} |" in coverage.text(measured, strict)


def test_lines_know_their_functions() -> None:
    source = "class A:\n    def f(self):\n        return 1\n\n\nx = 2\n"
    assert coverage._functions(source) == {1: "A", 2: "A.f", 3: "A.f"}
