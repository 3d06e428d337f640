"""The arithmetic of the harness: statistics, goals, comparison, the page."""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import pytest

from . import compare, goals, ratios, report, timing
from .__main__ import merged
from .contender import OURS, Contender, agreement
from .measure import against
from .peers.naive import Naive
from .plan import Job, Plan
from .regimes import Regime
from .timing import SHORTEST, Effort, hopeful, interleave
from .workloads import LOSSES, Workload, make_inputs


def row(ratio: float = 0.5, **changed: Any) -> dict[str, Any]:
    spread = {"median": ratio, "low": 0.95 * ratio, "high": 1.05 * ratio}
    return {
        "suite": "time",
        "runner": "torch",
        "shape": "W2",
        "loss": "dice",
        "dtype": "float32",
        "pass": "both",
        "allocator": "default",
        "load": "idle",
        "seconds": {OURS: 0.1, "peer": 0.1 / ratio},
        "floor_seconds": 0.01,
        "rounds": 5,
        "ratios": {"peer": spread},
        "fastest": "peer",
        "ratio": ratio,
        **changed,
    }


def peak(size: int) -> dict[str, Any]:
    about = {k: v for k, v in row().items() if k in compare.KEY}
    return {**about, "suite": "memory", "name": OURS, "bytes": size, "logits_bytes": 100}


def results(*rows: dict[str, Any]) -> dict[str, Any]:
    machine = {
        "date": "2026-01-01",
        "cpu": "one",
        "cores": 2,
        "memory_gib": 8,
        "system": "Linux",
        "python": "3.11",
        "load_average": 0.1,
        "versions": {"torch": "2.0", "xploss": "0.1"},
    }
    return {"machine": machine, "absent": {}, "rows": list(rows)}


def test_quantiles_are_linear_between_values() -> None:
    found = ratios.spread([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.median, found.low, found.high) == (3.0, 2.0, 4.0)
    assert ratios.quantile([1.0, 2.0], 0.5) == 1.5
    assert ratios.quantile([7.0], 0.25) == 7.0


def test_pairwise_ratios_cancel_what_slows_a_round() -> None:
    found = ratios.pairwise([1.0, 10.0, 2.0], [2.0, 20.0, 4.0])
    assert found == ratios.Spread(0.5, 0.5, 0.5)


def test_the_fastest_peer_has_the_largest_ratio() -> None:
    spreads = {"a": ratios.Spread(0.4, 0.4, 0.4), "b": ratios.Spread(0.9, 0.9, 0.9)}
    assert ratios.fastest(spreads) == "b"
    assert ratios.fastest({}) is None
    found = against({OURS: [1.0, 1.0], "a": [2.0, 2.0], "b": [4.0, 4.0]})
    assert (found["fastest"], found["ratio"]) == ("a", 0.5)
    assert against({OURS: [1.0]}) == {"ratios": {}}
    assert against({"a": [1.0]}) == {}


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponent_of_a_power_law(power: float) -> None:
    sizes = [10.0, 100.0, 1000.0]
    assert ratios.exponent(sizes, [3 * n**power for n in sizes]) == pytest.approx(power)


def test_agreement_is_relative_and_looser_in_half_precision() -> None:
    assert agreement(1.001, 1.0, "float32")
    assert not agreement(1.01, 1.0, "float32")
    assert agreement(1.01, 1.0, "bfloat16")
    assert not agreement(float("nan"), 1.0, "float32")


def test_interleaving_calls_everybody_once_per_round() -> None:
    calls: list[str] = []

    def contender(name: str) -> Contender:
        def both() -> None:
            calls.append(name)
            time.sleep(0.006)

        return Contender(name, lambda: None, both)

    found = interleave([contender("a"), contender("b")], "both", Effort(3, 3, 0.0))
    assert {name: len(values) for name, values in found.items()} == {"a": 3, "b": 3}
    timed = calls[4:]
    assert all(set(timed[i : i + 2]) == {"a", "b"} for i in range(0, len(timed), 2))


def test_the_hopeless_leave_early() -> None:
    assert hopeful({OURS: [50.0], "slow": [30.0], "fast": [1.0], "fair": [9.0]}) == [
        OURS,
        "fast",
        "fair",
    ]
    assert ratios.pairwise([1.0, 2.0, 9.0], [2.0, 4.0]).median == 0.5


def test_slower_is_told_from_ratios_not_from_seconds() -> None:
    old = results(row(0.5))
    slow_machine = copy.deepcopy(old)
    slow_machine["rows"][0]["seconds"] = {OURS: 9.0, "peer": 18.0}
    assert compare.changes(old, slow_machine) == []
    (change,) = compare.changes(old, results(row(0.8)))
    assert change.kind == "slower"
    assert change.factor == pytest.approx(1.6)
    (change,) = compare.changes(old, results(row(0.3)))
    assert change.kind == "faster"
    assert compare.changes(old, results(row(0.8, shape="W1"))) == []


def test_overlapping_quartiles_are_noise() -> None:
    noisy = row(0.8, ratios={"peer": {"median": 0.8, "low": 0.4, "high": 1.2}})
    assert compare.changes(results(row(0.5)), results(noisy)) == []


def test_memory_is_compared_in_bytes() -> None:
    (change,) = compare.changes(results(peak(110)), results(peak(200)))
    assert change.kind == "larger"
    assert compare.changes(results(peak(110)), results(peak(112))) == []


def test_different_peers_are_pointed_out() -> None:
    new = results()
    new["machine"]["versions"] = {"torch": "2.1", "xploss": "0.2"}
    assert compare.differences(results(), new) == ["torch: 2.0 / 2.1"]


def test_a_run_keeps_the_rows_that_it_does_not_measure_anew() -> None:
    kept, replaced = row(0.5, shape="W1"), row(0.5)
    found = merged(results(kept, replaced), results(row(0.7)))
    assert [r["ratio"] for r in found["rows"]] == [0.5, 0.7]


def test_goals_depend_on_the_regime() -> None:
    assert goals.goal(row()) == 0.7
    assert goals.goal(row(allocator="keeping")) == 1.0
    assert goals.goal(row(loss="lovasz", allocator="keeping")) == 0.15
    assert goals.goal(row(loss="lovasz", load="busy")) == 1.0
    assert goals.goal(row(dtype="bfloat16")) is None


def test_the_page_marks_hits_and_misses() -> None:
    page = report.markdown(results(row(0.5), row(0.9, loss="ce"), row(1.2, shape="W1"), peak(120)))
    assert "**0.50** (0.47–0.53) peer ✓" in page
    assert "**1.20** (1.14–1.26) peer ✗ 0.7" in page
    assert "**1.20** ✗ 1.15" in page


def test_the_page_counts_the_goals_that_are_reached() -> None:
    page = report.markdown(results(row(0.5), row(1.2, shape="W1"), row(0.9, loss="ce"), peak(120)))
    assert "| 2 of 3 | Dice (0.7) W1 1.20 |" in page
    assert "| torch, memory, float32 | 0 of 1 | Dice (1.15) W2 1.20 |" in page


def test_tiny_arrays_are_measured_against_monai() -> None:
    spreads = {"peer": {"median": 0.5}, "MONAI": {"median": 0.4}}
    tiny = row(0.5, shape="small", ratios=spreads)
    assert goals.goal(tiny) == 1.0
    assert goals.ratio(tiny) == 0.4
    assert goals.goal(row(0.5, shape="small")) is None
    assert goals.goal({**tiny, "load": "busy"}) is None


def test_bytes_that_must_move() -> None:
    work = Workload("ce", (2, 3, 4, 4))
    logits, labels = 2 * 3 * 16 * 4, 2 * 16 * 8
    assert work.moved_bytes("forward") == logits + labels
    assert work.moved_bytes("both") == 2 * logits + labels
    assert Workload("dice", work.shape).moved_bytes("both") == 3 * logits + 2 * labels
    assert Workload("dice", (2, 1, 4, 4), "bfloat16").logits_bytes == 64


def test_jobs_survive_the_way_to_a_worker() -> None:
    plan = Plan(
        ("time", "memory"), ("torch", "jax"), ("W1", "small"), ("dice",), ("float32",),
        ("forward", "both"), (Regime(), Regime("keeping", "busy")), Effort(),
    )  # fmt: skip
    jobs = list(plan.jobs())
    assert [Job.parse(job.json()) for job in jobs] == jobs
    assert {job.runner for job in jobs if job.regime.load == "busy"} == {"torch"}
    assert all(job.shape == "W1" for job in jobs if job.suite == "memory")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("shape", [(2, 1, 6, 6), (2, 3, 6, 6)], ids=["binary", "multiclass"])
def test_plain_code_has_the_gradient_of_its_value(loss: str, shape: tuple[int, ...]) -> None:
    work = Workload(loss, shape)
    given, naive = make_inputs(work), Naive(np, work)
    x = given.logits.astype(np.float64)
    y = given.labels[:, None].astype(np.float64) if work.mode == "binary" else given.labels
    value, gradient = naive.value_and_grad(x, y)
    assert value == naive.value(x, y)
    direction = np.random.default_rng(1).standard_normal(shape)
    step = 1e-6
    ahead = naive.value(x + step * direction, y) - naive.value(x - step * direction, y)
    assert (gradient * direction).sum() == pytest.approx(ahead / (2 * step), rel=1e-5)


def test_a_slow_first_call_does_not_shorten_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_sample", lambda _, count: 1e-3 if count == 1 else 1e-5)
    assert timing._repeats(lambda: None) * 1e-5 >= SHORTEST
