"""The process that measures: reads an order, appends a line of JSON per row."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .contender import reason
from .measure import head, scaling, times
from .memory import names, peak
from .plan import Job


def main(order: str, out: str) -> None:
    """Do what the file `order` asks for, and append the rows to the file `out`."""
    asked = json.loads(Path(order).read_text())
    with Path(out).open("a") as file:
        for data in asked["jobs"]:
            job = Job.parse(data)
            try:
                for row in _rows(job, asked):
                    file.write(json.dumps(row) + "\n")
                    file.flush()
            except Exception as error:
                failed = {**head(job, ""), "failed": reason(error)}
                file.write(json.dumps(failed) + "\n")
                title = f"{job.suite}, {job.runner}, {job.shape}, {job.loss}"
                print(f"{title}: {reason(error)}", file=sys.stderr)


def _rows(job: Job, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if asked["task"] == "names":
        yield {"job": job.json(), "names": names(job)}
    elif asked["task"] == "peak":
        name, step = asked["name"], asked["pass"]
        yield {**head(job, step), "name": name, **peak(job, name, step)}
    else:
        yield from times(job) if job.suite == "time" else scaling(job)
