"""Interleaved timing: all contenders once per round, in an order drawn anew each time."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .contender import OURS, Contender
from .ratios import quantile

SHORTEST = 5e-3
"""A sample takes at least this long: quick calls are repeated within it."""
HOPELESS = 10.0
"""Who takes so many times the fastest is left alone after two rounds."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds at least, rounds at most, and seconds to spend."""

    rounds: int = 5
    most: int = 21
    seconds: float = 10.0


def interleave(
    contenders: list[Contender], step: str, effort: Effort, seed: int = 0
) -> dict[str, list[float]]:
    """The seconds per call of each contender, one per round; the first two of a hopeless one."""
    calls = {c.name: c.step(step) for c in contenders}
    repeats = {name: _repeats(call) for name, call in calls.items()}
    found: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffle = list(calls), random.Random(seed).shuffle
    end = time.perf_counter() + effort.seconds
    gc.collect()
    gc.disable()
    try:
        for done in range(effort.most):
            if done >= effort.rounds and time.perf_counter() > end:
                break
            if done == 2:
                order = hopeful(found)
            shuffle(order)
            for name in order:
                found[name].append(_sample(calls[name], repeats[name]))
            gc.collect()
    finally:
        gc.enable()
    return found


def hopeful(samples: Mapping[str, list[float]]) -> list[str]:
    """Those worth another round: ourselves, and whoever is not far behind the fastest."""
    best = min(min(values) for values in samples.values())
    return [n for n, values in samples.items() if n == OURS or min(values) <= HOPELESS * best]


def _repeats(call: Callable[[], Any]) -> int:
    """How many calls make a sample; this warms up too."""
    call()
    count = 1
    # a first call, into cold caches, tells little of those that follow
    while (taken := count * _sample(call, count)) < SHORTEST:
        count = max(count + 1, round(count * SHORTEST / max(taken, 1e-7)))
    return count


def _sample(call: Callable[[], Any], repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The median seconds of each contender, to four digits."""
    return {name: float(f"{quantile(values, 0.5):.4g}") for name, values in samples.items()}
