"""The process that measures: reads jobs, appends a line of JSON per row."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .contender import reason
from .measure import head, scaling, times
from .memory import peak
from .plan import Job


def main(order: str, out: str) -> None:
    """Measure what the file `order` asks for, and append the rows to the file `out`."""
    asked = json.loads(Path(order).read_text())
    with Path(out).open("a") as file:
        for data in asked["jobs"]:
            job = Job.parse(data)
            try:
                for row in _rows(job, asked.get("name"), asked.get("pass")):
                    file.write(json.dumps(row) + "\n")
                    file.flush()
            except Exception as error:
                row = {**head(job, ""), "failed": reason(error)}
                file.write(json.dumps(row) + "\n")
                print(f"{job.suite} {job.runner} {job.shape} {job.loss}: {reason(error)}", file=sys.stderr)


def _rows(job: Job, name: str | None, step: str | None) -> list[dict[str, Any]] | Any:
    if job.suite == "memory":
        assert name is not None and step is not None
        return [{**head(job, step), "name": name, **peak(job, name, step)}]
    return times(job) if job.suite == "time" else scaling(job)
