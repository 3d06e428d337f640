"""Running a plan: a process per regime and runner, and for memory one per measurement."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import machine
from .plan import Job, Plan
from .regimes import Regime
from .runners import absence

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 3
"""How often memory is measured."""


def run(plan: Plan) -> Iterator[dict[str, Any]]:
    """Measure what can be measured here and name what cannot; yields the results so far."""
    facts = machine.describe()
    gone = {name: why for name in plan.runners if (why := absence(name)) is not None}
    jobs = [job for job in plan.jobs() if job.runner not in gone]
    rows: list[dict[str, Any]] = []
    groups = itertools.groupby(jobs, key=lambda j: (j.suite, j.regime, j.runner))
    for (suite, regime, runner), group in groups:
        print(f"{suite}: {runner} ({regime})", file=sys.stderr, flush=True)
        with regime.working():
            rows += _memory(list(group)) if suite == "memory" else _ask(group, regime)
        facts["load_average_after"] = machine.describe()["load_average"]
        yield {"machine": facts, "absent": gone, "rows": rows}


def _memory(jobs: list[Job]) -> list[dict[str, Any]]:
    """The middle of PROCESSES processes, for each contender and pass."""
    rows: list[dict[str, Any]] = []
    for found in _ask(jobs, jobs[0].regime, task="names"):
        if "failed" in found:
            rows.append(found)
            continue
        job = Job.parse(found["job"])
        measured = [
            row
            for step in job.passes
            for name in found["names"]
            for row in _middle(job, name, step)
        ]
        rows += [{**row, "logits_bytes": job.work.logits_bytes} for row in measured]
    return rows


def _middle(job: Job, name: str, step: str) -> list[dict[str, Any]]:
    """The row of the process with the middle peak, and of the first that failed.

    How the arrays of threads fall into place is chance.
    """
    asked = {"task": "peak", "name": name, "pass": step}
    rows = [row for _ in range(PROCESSES) for row in _ask([job], job.regime, **asked)]
    sized = sorted((row for row in rows if "bytes" in row), key=lambda row: row["bytes"])
    others = [row for row in rows if "bytes" not in row]
    return sized[(len(sized) - 1) // 2 :][:1] + others[:1]


def _ask(
    jobs: Iterable[Job], regime: Regime, task: str = "rows", **more: str
) -> list[dict[str, Any]]:
    """The rows that a new process under a regime measures."""
    with tempfile.TemporaryDirectory() as folder:
        order, out = Path(folder) / "order.json", Path(folder) / "rows.jsonl"
        order.write_text(json.dumps({"task": task, "jobs": [j.json() for j in jobs], **more}))
        out.touch()
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "benchmarks",
            "worker",
            str(order),
            str(out),
        ]
        done = subprocess.run(command, cwd=ROOT, env=regime.environment(), check=False)
        if done.returncode:
            print(
                f"a worker ended with {done.returncode}; its rows so far are kept", file=sys.stderr
            )
        return [json.loads(line) for line in out.read_text().splitlines()]
