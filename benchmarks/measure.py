"""A job's rows: plain dictionaries, one per pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from . import machine, ratios
from .contender import OURS, Field
from .plan import Job
from .runners import RUNNERS
from .timing import interleave, medians
from .workloads import Workload

_BANDWIDTH: dict[str, float] = {}


def times(job: Job) -> Iterator[dict[str, Any]]:
    """Seconds of all contenders, interleaved, and our ratio to each peer."""
    work = job.work
    field = RUNNERS[job.runner].field(work)
    for step in job.passes:
        row = {**head(job, step), **_facts(field)}
        if field.contenders:
            neighbours = machine.Neighbours()
            samples = interleave(field.contenders, step, job.effort)
            row["others"] = neighbours.cores()
            row |= {"seconds": medians(samples), "floor_seconds": _floor(job, step)}
            row |= {"rounds": max(map(len, samples.values())), **against(samples)}
        yield row


def against(samples: dict[str, list[float]]) -> dict[str, Any]:
    """Our ratios to the others, and to the fastest of them."""
    if OURS not in samples:
        return {}
    found = {
        name: ratios.pairwise(samples[OURS], values)
        for name, values in samples.items()
        if name != OURS
    }
    best = ratios.fastest(found)
    row: dict[str, Any] = {"ratios": {name: spread.json() for name, spread in found.items()}}
    return row if best is None else {**row, "fastest": best, "ratio": found[best].json()["median"]}


def scaling(job: Job) -> Iterator[dict[str, Any]]:
    """Seconds against the number of pixels and of classes, with the fitted exponents."""
    axes = {
        "pixels": [(1, 4, side, side) for side in (64, 128, 256, 512, 1024, 2048)],
        "classes": [(1, count, 256, 256) for count in (2, 4, 8, 16, 32, 64, 128)],
    }
    for axis, shapes in axes.items():
        sizes, seconds = [], dict[str, list[float | None]]()
        facts: dict[str, Any] = {}
        for index, shape in enumerate(shapes):
            field = RUNNERS[job.runner].field(Workload(job.loss, shape, job.dtype))
            facts = facts or _facts(field)
            effort = replace(job.effort, seconds=job.effort.seconds / 4)
            found = medians(interleave(field.contenders, "both", effort))
            sizes.append(shape[1] if axis == "classes" else math.prod(shape[2:]))
            for name in found:
                seconds.setdefault(name, [None] * index)
            for name, values in seconds.items():
                values.append(found.get(name))
        yield {
            **head(job, "both"),
            **facts,
            "axis": axis,
            "sizes": sizes,
            "series": seconds,
            "exponents": {name: _exponent(sizes, values) for name, values in seconds.items()},
        }


def head(job: Job, step: str) -> dict[str, Any]:
    """What a row is about: the columns by which two runs are joined."""
    return {
        "suite": job.suite,
        "runner": job.runner,
        "shape": job.shape,
        "loss": job.loss,
        "dtype": job.dtype,
        "pass": step,
        "allocator": job.regime.allocator,
        "load": job.regime.load,
    }


def _facts(field: Field) -> dict[str, Any]:
    return {
        "absent": field.absent,
        "agrees": {c.name: c.agrees for c in field.contenders if c.name != OURS},
        "notes": {c.name: c.note for c in field.contenders if c.note},
    }


def _exponent(sizes: list[int], seconds: list[float | None]) -> float | None:
    """The exponent over the larger half, where the cost of a call no longer shows."""
    pairs = [(n, s) for n, s in zip(sizes, seconds, strict=True) if s is not None]
    pairs = pairs[len(pairs) // 2 - 1 :]
    if len(pairs) < 2:
        return None
    return round(ratios.exponent([n for n, _ in pairs], [s for _, s in pairs]), 2)


def _floor(job: Job, step: str) -> float:
    """The seconds that moving the bytes takes at least."""
    if job.runner not in _BANDWIDTH:
        _BANDWIDTH[job.runner] = machine.copy_bandwidth(job.runner)
    return float(f"{job.work.moved_bytes(step) / _BANDWIDTH[job.runner]:.4g}")
