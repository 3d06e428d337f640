"""Plants faults in a copy of the library, one at a time, and reports which are found, and by what.

python -m conformance.mutations            all of them
python -m conformance.mutations alpha      those whose name or file contains a word
python -m conformance.mutations --rest     those that the report has no outcome of

The outcomes go into conformance/reports/mutations.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from conformance.mutants.mutant import Mutant
from conformance.mutants.report import Outcome, held, write
from conformance.mutants.table import MUTANTS

ROOT = Path(__file__).parents[1]
COPIED = ("src", "tests", "conformance", "docs", "pyproject.toml", "README.md", "CONTRIBUTING.md")
TIMEOUT = 1800
FAILURE = re.compile(r"^(?:FAILED|ERROR) \w+/([\w/]+)\.py(?:::(\w+))?", re.MULTILINE)
ROUTES = {
    "numpy": "numpy-eager-float64",
    "strict": "strict-eager-float64",
    "torch": "torch-tiles-autodiff-float64",
    "jax": "jax-jit-autodiff-float64",
}
FIRST: dict[str, tuple[str, ...]] = {
    "numpy": ("gradients", "lovasz", "errors"),
    "strict": ("gradients",),
    "torch": ("torch_watch", "torch_small", "torch", "torch_op", "gradients"),
    "jax": ("jax", "statistics"),
}
SLOW = ("demo", "readme", "published", "torch_compile")


@dataclass(frozen=True)
class Stage:
    """Tests that may find a fault."""

    suite: str
    arguments: tuple[str, ...]


def stages(backend: str) -> Iterator[Stage]:
    """The stages on a backend, the fastest of each suite first."""
    for arguments in (
        ("test_grid.py", "-k", ROUTES[backend]),
        ("test_traps.py", "test_trap_numbers.py"),
        ("test_laws.py",),
        ("test_bad_input.py",),
        ("test_size.py",),
    ):
        paths = (f"conformance/{a}" if a.endswith(".py") else a for a in arguments)
        yield Stage("conformance", tuple(paths))
    for name in FIRST[backend]:
        yield Stage("tests", (f"tests/test_{name}.py",))
    left_out = (f"--ignore=tests/test_{name}.py" for name in SLOW)
    yield Stage("tests", ("tests", *left_out, "-m", "not slow"))


def found(mutant: Mutant) -> Outcome:
    """The first test of each suite that finds a fault."""
    first: dict[str, str] = {}
    with _planted(mutant) as folder:
        for stage in stages(mutant.backend):
            if stage.suite not in first and (test := _failure(stage, Path(folder), mutant.backend)):
                _must_pass(stage, mutant.backend)
                first[stage.suite] = test
    return Outcome(mutant, first.get("conformance"), first.get("tests"))


@cache
def _must_pass(stage: Stage, backend: str) -> None:
    """Without a fault, a stage that found one has to pass."""
    with _planted(None) as folder:
        if test := _failure(stage, Path(folder), backend):
            raise RuntimeError(f"{test} fails on {backend} without a fault: repair that first")


def _planted(mutant: Mutant | None) -> tempfile.TemporaryDirectory[str]:
    """A copy of what the tests need, with a fault."""
    folder = tempfile.TemporaryDirectory()
    for name in COPIED:
        source, target = ROOT / name, Path(folder.name) / name
        if source.is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "reports")
            shutil.copytree(source, target, ignore=left_out)
        else:
            shutil.copy(source, target)
    if mutant is not None:
        mutant.apply(Path(folder.name) / "src" / "xploss")
    return folder


def _failure(stage: Stage, folder: Path, backend: str) -> str | None:
    """The first test that fails with the copy in the place of the library."""
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
    if done.returncode == 0:
        return None
    failed = FAILURE.search(done.stdout)
    if done.returncode != 1 or failed is None:
        raise RuntimeError(f"{stage} did not run:\n{done.stdout}{done.stderr}")
    return "::".join(part for part in failed.groups() if part)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: 1 if a fault survives."""
    parser = argparse.ArgumentParser(prog="python -m conformance.mutations", description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="a part of a name or file")
    parser.add_argument("--rest", action="store_true", help="only those without an outcome")
    parser.add_argument("--last-first", action="store_true", help="in the opposite order")
    given = parser.parse_args(arguments)
    outcomes = []
    for mutant in reversed(MUTANTS) if given.last_first else MUTANTS:
        if given.rest and mutant.name in held():
            continue
        if given.word in mutant.name or given.word in mutant.file:
            outcomes.append(found(mutant))
            write(outcomes)
            print(outcomes[-1], flush=True)
    survivors = [outcome for outcome in outcomes if outcome.survives]
    print(f"{len(outcomes) - len(survivors)} of {len(outcomes)} faults found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
