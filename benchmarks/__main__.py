"""The command line: ``python -m benchmarks run | compare | plot``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import compare, report
from .plan import SUITES, Plan
from .regimes import ALLOCATORS, LOADS, Regime
from .run import run
from .runners import RUNNERS
from .timing import Effort
from .workloads import DTYPES, LARGE, LOSSES, PASSES, SHAPES

RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    asked = _parser().parse_args(arguments)
    return int(asked.command(asked))


def _run(asked: argparse.Namespace) -> int:
    plan = Plan(
        suites=asked.suites,
        runners=asked.runners,
        shapes=asked.shapes,
        losses=asked.losses,
        dtypes=asked.dtypes,
        passes=asked.passes,
        regimes=tuple(Regime(a, load) for load in asked.loads for a in asked.allocators),
        effort=Effort(rounds=asked.rounds, seconds=asked.seconds),
    )
    path = asked.out / "results.json"
    earlier = _read(path) if asked.add and path.exists() else None
    for results in run(plan):
        _write(results if earlier is None else merged(earlier, results), path)
    return _show(asked.out)


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A run with the rows of an earlier one that it did not measure anew."""

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(name) for name in (*compare.KEY, "name", "axis"))

    fresh = {key(row) for row in new["rows"]}
    kept = [row for row in old["rows"] if key(row) not in fresh and "failed" not in row]
    return {**new, "absent": {**old["absent"], **new["absent"]}, "rows": kept + new["rows"]}


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in results["rows"])
    head = json.dumps({k: v for k, v in results.items() if k != "rows"}, indent=1)
    path.write_text(f'{head[:-2]},\n "rows": [\n{rows}\n]}}\n')


def _plot(asked: argparse.Namespace) -> int:
    return _show(asked.folder)


def _show(folder: Path) -> int:
    from .plots import draw

    results = _read(folder / "results.json")
    (folder / "results.md").write_text(report.markdown(results))
    try:
        pictures = draw(results, folder)
    except ImportError as error:
        print(f"no pictures: {error}", file=sys.stderr)
        pictures = []
    print(f"wrote {', '.join(str(p) for p in (folder / 'results.md', *pictures))}")
    return 0


def _compare(asked: argparse.Namespace) -> int:
    old, new = _read(asked.old), _read(asked.new)
    for line in compare.differences(old, new):
        print(f"not the same: {line}")
    found = compare.changes(old, new, asked.tolerance)
    for change in found:
        print(change)
    worse = [change for change in found if change.factor > 1]
    shared = compare.shared(old, new)
    print(f"{len(worse)} worse, {len(found) - len(worse)} better, of {shared} rows that both have")
    return 1 if worse else 0


def _work(asked: argparse.Namespace) -> int:
    from .worker import main as work

    work(asked.order, asked.out)
    return 0


def _read(path: Path) -> dict[str, Any]:
    """Results from their file, or from the folder that holds it."""
    path = path / "results.json" if path.is_dir() else path
    if not path.exists():
        raise SystemExit(f"{path} does not exist; expected the results.json of a run")
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="run | plot | compare")
    runs = commands.add_parser("run", help="measure, and write JSON, Markdown and pictures")
    for name, default, known in (
        ("suites", SUITES, SUITES),
        ("runners", tuple(RUNNERS), tuple(RUNNERS)),
        ("shapes", (*LARGE, "small"), tuple(SHAPES)),
        ("losses", LOSSES, LOSSES),
        ("dtypes", DTYPES, DTYPES),
        ("passes", PASSES, PASSES),
        ("allocators", ALLOCATORS, ALLOCATORS),
        ("loads", LOADS, LOADS),
    ):
        listed = _Listed(known)
        runs.add_argument(f"--{name}", type=listed, default=default, help=f"of {', '.join(known)}")
    runs.add_argument("--rounds", type=int, default=5, help="at least so many rounds")
    runs.add_argument("--seconds", type=float, default=10.0, help="per loss, shape and pass")
    runs.add_argument("--out", type=Path, default=RESULTS, help="the folder to write into")
    runs.add_argument("--add", action="store_true", help="keep the other rows that are in OUT")
    runs.set_defaults(command=_run)
    plots = commands.add_parser("plot", help="Markdown and pictures anew from results.json")
    plots.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    plots.set_defaults(command=_plot)
    compares = commands.add_parser("compare", help="what got slower between two results.json")
    compares.add_argument("old", type=Path)
    compares.add_argument("new", type=Path)
    compares.add_argument("--tolerance", type=float, default=compare.TOLERANCE)
    compares.set_defaults(command=_compare)
    works = commands.add_parser("worker")
    works.add_argument("order")
    works.add_argument("out")
    works.set_defaults(command=_work)
    return parser


class _Listed:
    """A comma-separated choice of known names."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in self.known:
                raise argparse.ArgumentTypeError(f"{name!r}; expected of {', '.join(self.known)}")
        return names


if __name__ == "__main__":
    raise SystemExit(main())
