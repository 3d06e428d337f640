"""Plants faults in a copy of the library, one at a time, and reports which are found.

python -m conformance.mutations            all of them
python -m conformance.mutations alpha      those whose name contains a word
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conformance.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tests", "conformance", "docs", "pyproject.toml", "README.md", "CONTRIBUTING.md")
TIMEOUT = 1800


@dataclass(frozen=True)
class Stage:
    """Tests that may find a fault, the fastest first."""

    name: str
    arguments: tuple[str, ...]


def stages(backend: str) -> Iterator[Stage]:
    """The stages on a backend."""
    grid = "numpy-eager-float64 or torch-autodiff-float64 or jax-jit-autodiff"
    yield Stage("grid", ("conformance/test_grid.py", "-k", grid))
    yield Stage("laws", ("conformance/test_laws.py",))
    yield Stage("traps", ("conformance/test_traps.py", "conformance/test_trap_numbers.py"))
    yield Stage("bad input", ("conformance/test_bad_input.py",))
    yield Stage("size", ("conformance/test_size.py",))
    demo = ("--ignore=tests/test_demo.py", "--ignore=tests/test_readme.py")
    some = ("tests/test_jax.py",) if backend == "jax" else ("tests", *demo)
    yield Stage("tests", (*some, "-m", "not slow"))


def found_by(backend: str, mutant: Mutant | None) -> str | None:
    """The stage that finds a fault, or None if it survives; without one, the stage that fails."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in COPIED:
            _copy(ROOT / name, copy / name)
        if mutant is not None:
            mutant.apply(copy / "src" / "xploss")
        return next((s.name for s in stages(backend) if not _passes(s, copy, backend)), None)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "reports"))
    else:
        shutil.copy(source, target)


def _passes(stage: Stage, folder: Path, backend: str) -> bool:
    """Whether tests pass with the copy in the place of the library."""
    path = os.pathsep.join([str(folder / "src"), str(folder)])
    given = {"PYTHONPATH": path, "XPLOSS_BACKENDS": backend, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *stage.arguments],
        cwd=folder,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"stage {stage.name} did not run:\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main(arguments: list[str] | None = None) -> int:
    """The command line: 1 if a fault survives."""
    parser = argparse.ArgumentParser(prog="python -m conformance.mutations", description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="a part of a name")
    word = parser.parse_args(arguments).word
    chosen = [mutant for mutant in MUTANTS if word in mutant.name]
    for backend in {mutant.backend for mutant in chosen}:
        if stage := found_by(backend, None):
            print(f"{stage} on {backend} fails without a fault: repair that first")
            return 2
    survivors = []
    for mutant in chosen:
        stage = found_by(mutant.backend, mutant)
        print(f"{stage or 'SURVIVES':10} {mutant.name} ({mutant.file})", flush=True)
        survivors += [] if stage else [mutant]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} faults found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
