"""The table of planted faults fits the library."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conformance.mutants.mutant import SOURCE, Mutant
from conformance.mutants.table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_can_be_planted(mutant: Mutant, tmp_path: Path) -> None:
    path = tmp_path / mutant.file
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCE / mutant.file, path)
    before = path.read_text(encoding="utf-8")
    mutant.apply(tmp_path)
    assert path.read_text(encoding="utf-8") != before
    compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_a_text_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n", encoding="utf-8")
    for text in ("y = 1", "x = 1"):
        with pytest.raises(ValueError, match=r"[02] times, expected once; bring"):
            Mutant("none", "a.py", text, "z = 1").apply(tmp_path)


def test_names_are_distinct() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25
