"""The results as a Markdown page."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .contender import OURS
from .goals import MEMORY, TEMPORARIES, goal, ratio
from .regimes import Regime
from .workloads import DTYPES, LOSSES, SHAPES, TITLES

Row = dict[str, Any]
_ORDER = {name: place for place, name in enumerate((*SHAPES, *LOSSES))}
_PASS = {"forward": "forward", "both": "forward + backward"}


def markdown(results: dict[str, Any]) -> str:
    """The page."""
    rows = results["rows"]
    timed = [r for r in rows if r["suite"] == "time" and r.get("ratios")]
    large = [r for r in timed if r["shape"] != "small"]
    peaks = [r for r in rows if r["suite"] == "memory" and "failed" not in r]
    parts = [
        _machine(results),
        *_goals(timed, peaks),
        *_tables(large),
        *_memory(peaks),
        *_overhead([r for r in timed if r["shape"] == "small"]),
        *_scaling([r for r in rows if r["suite"] == "scaling" and "series" in r]),
        *_details(timed),
        *_absences(results),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(results: dict[str, Any]) -> str:
    m = results["machine"]
    packages = ", ".join(f"{k} {v}" for k, v in m["versions"].items() if v)
    shapes = ", ".join(f"{k} = {v}" for k, v in SHAPES.items())
    gpu = f"{m['gpu']}; " if m.get("gpu") else ""
    return (
        f"# Benchmarks\n\n{m['date']}; {m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB; {gpu}"
        f"{m['system']}; Python {m['python']}; load average {m['load_average']} before and "
        f"{m.get('load_average_after')} after.\n\n{packages}.\n\nShapes: {shapes}.\n\n"
        "Ratios are our time over a peer's in the same round of one process, medians of the "
        "rounds (with their quartiles): **below 1 we are ahead**, and the fastest peer is named. "
        "✓ and ✗ say whether this project's own goal for the cell is met, which asks for more "
        "than to be ahead: ✗ 0.6 means that 0.6 was to be reached. Seconds of different rows were "
        "measured at different times, and the machine's speed drifts: compare ratios, not "
        "seconds. Plain code is what one writes down with whole arrays."
    )


def _goals(timed: list[Row], peaks: list[Row]) -> list[str]:
    """How many cells of each table reach this project's goals, and which do not."""
    found: dict[str, list[tuple[str, str, float, float]]] = {}
    for row in timed:
        if (aim := goal(row)) is not None:
            regime = Regime(row["allocator"], row["load"])
            kind = "overhead" if row["shape"] == "small" else "time"
            title = f"{row['runner']}, {kind}, {_PASS[row['pass']]}, {regime}"
            found.setdefault(title, []).append((row["loss"], row["shape"], ratio(row), aim))
    for row in peaks:
        if row["name"] != OURS:
            continue
        for measured, kind, aim in (
            ("bytes", "memory", MEMORY),
            ("temporaries", "temporaries of the compiler", TEMPORARIES),
        ):
            if row.get(measured) is not None:
                times = row[measured] / row["logits_bytes"]
                title = f"{row['runner']}, {kind}, {row['dtype']}"
                found.setdefault(title, []).append((row["loss"], row["shape"], times, aim))
    lines = ["## Goals", "", *_header("of", "reached", "missed: goal, and figures")]
    for title, cells in sorted(found.items()):
        missed: dict[str, list[str]] = {}
        for loss, shape, x, aim in sorted(cells, key=lambda c: (_ORDER[c[0]], _ORDER[c[1]])):
            if x > aim:
                name = f"{TITLES[loss]} ({aim:g})"
                missed.setdefault(name, []).append(f"{shape} {x:.2f}")
        reached = len(cells) - sum(map(len, missed.values()))
        listed = "; ".join(f"{name} {', '.join(places)}" for name, places in missed.items())
        lines.append(_line(title, f"{reached} of {len(cells)}", listed))
    return ["\n".join(lines)] if found else []


def _tables(rows: list[Row]) -> list[str]:
    """Our time over the fastest peer: a table per runner, regime, pass and dtype."""

    def group(row: Row) -> tuple[Any, ...]:
        return row["runner"], row["load"], row["allocator"], row["pass"], DTYPES.index(row["dtype"])

    parts = ["## Time over that of the fastest peer"] if rows else []
    for (runner, load, allocator, step, dtype), found in _groups(rows, group):
        title = f"{runner}, {_PASS[step]}, {DTYPES[dtype]}, {Regime(allocator, load)}"
        parts.append(f"### {title}\n\n{_effort(found)}{_grid(found, _ratio)}")
    return parts


def _effort(rows: list[Row]) -> str:
    """How many rounds, and what other processes took meanwhile: 0 on an idle machine."""
    rounds = [row["rounds"] for row in rows]
    cores = [row["others"] for row in rows if row.get("others") is not None]
    others = f" Other processes took {min(cores):.1f} to {max(cores):.1f} cores." if cores else ""
    count = f"{min(rounds)} to {max(rounds)}" if len(set(rounds)) > 1 else f"{rounds[0]}"
    return f"{count} rounds a cell.{others}\n\n"


def _ratio(row: Row) -> str:
    spread, aim = row["ratios"][row["fastest"]], goal(row)
    mark = "" if aim is None else " ✓" if row["ratio"] <= aim else f" ✗ {aim:g}"
    return (
        f"**{row['ratio']:.2f}** ({spread['low']:.2f}–{spread['high']:.2f}) {row['fastest']}{mark}"
    )


def _memory(rows: list[Row]) -> list[str]:
    """Peaks over the logits: ours, and the peers'."""

    def group(row: Row) -> tuple[Any, ...]:
        return row["runner"], row["pass"], DTYPES.index(row["dtype"])

    parts = ["## Peak memory beyond the inputs, over the logits"] if rows else []
    for (runner, step, dtype), found in _groups(rows, group):
        cells = [
            {"loss": loss, "shape": shape, "peaks": list(peaks)}
            for (shape, loss), peaks in _groups(found, lambda r: (r["shape"], r["loss"]))
        ]
        title = f"{runner}, {_PASS[step]}, {DTYPES[dtype]}"
        parts.append(f"### {title}\n\n{_grid(cells, _peaks)}")
    return parts


def _peaks(cell: Row) -> str:
    shown: list[str] = []
    for row in cell["peaks"]:
        if "bytes" not in row:
            continue
        times = row["bytes"] / row["logits_bytes"]
        if row["name"] == OURS:
            mark = "✓" if times <= MEMORY else f"✗ {MEMORY:g}"
            plan = row.get("temporaries")
            planned = "" if plan is None else f"; temporaries {plan / row['logits_bytes']:.2f}"
            shown.insert(0, f"**{times:.2f}** {mark}{planned}")
        else:
            shown.append(f"{row['name']} {times:.1f}")
    return ", ".join(shown)


def _overhead(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    lines = [
        "## Overhead on (1, 2, 32, 32)",
        "",
        *_header("runner", "loss", "pass", "regime", "µs"),
    ]
    for r in rows:
        each = ", ".join(f"{n} {s['median']:.2f}" for n, s in r["ratios"].items())
        cells = (
            r["runner"],
            TITLES[r["loss"]],
            _PASS[r["pass"]],
            Regime(r["allocator"], r["load"]),
        )
        lines.append(_line(*cells, f"{r['seconds'][OURS] * 1e6:.0f}; over {each}"))
    return ["\n".join(lines)]


def _scaling(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    lines = ["## Time ~ size^e", "", *_header("loss", "against", "e")]
    for row in rows:
        fitted = ", ".join(f"{k} {v}" for k, v in row["exponents"].items() if v is not None)
        lines.append(_line(TITLES[row["loss"]], row["axis"], fitted))
    return ["\n".join(lines)]


def _details(rows: list[Row]) -> list[str]:
    """Milliseconds of everybody, and the floor."""
    if not rows:
        return []
    head = _header("runner", "shape", "loss", "pass", "dtype", "regime", "floor", "ms")
    lines = [
        "## Milliseconds",
        "",
        "The floor is the time to move the bytes that must move.",
        "",
        *head,
    ]
    for r in rows:
        ms = ", ".join(f"{n} {_plain(s * 1e3)}" for n, s in r["seconds"].items())
        names = (r["runner"], r["shape"], TITLES[r["loss"]], r["pass"], r["dtype"])
        regime = f"{r['allocator']}, {r['load']}"
        lines.append(_line(*names, regime, f"{r['floor_seconds'] * 1e3:.3g}", ms))
    return ["\n".join(lines)]


def _plain(x: float) -> str:
    """Three digits, and never an exponent."""
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def _absences(results: dict[str, Any]) -> list[str]:
    """Who was not measured, why, and whose values differ."""
    found: dict[str, set[str]] = {}
    for name, why in results["absent"].items():
        found.setdefault(f"{name}: {why}", set()).add("all")
    for row in results["rows"]:
        place = f"{row['shape']} {row['loss']}"
        if "failed" in row:
            found.setdefault(f"{row['runner']}: {row['failed']}", set()).add(place)
        absent = row.get("absent") or {}
        if isinstance(absent, str):
            absent = {row["name"]: absent}
        for name, why in absent.items():
            found.setdefault(f"{row['runner']}, {name}: {why}", set()).add(place)
        for name, agrees in (row.get("agrees") or {}).items():
            if agrees is False:
                title = f"{row['runner']}, {name}: the value differs from ours"
                found.setdefault(title, set()).add(place)
        for name, note in (row.get("notes") or {}).items():
            found.setdefault(f"{row['runner']}, {name}: {note} (measured)", set()).add(place)
    lines = [f"- {why}: {', '.join(sorted(places))}" for why, places in sorted(found.items())]
    return ["## Absent, and notes\n\n" + "\n".join(lines)] if lines else []


def _grid(rows: Iterable[Row], cell: Callable[[Row], str]) -> str:
    """Losses by shapes."""
    found = {(r["loss"], r["shape"]): cell(r) for r in rows}
    shapes = sorted({shape for _, shape in found}, key=_ORDER.__getitem__)
    losses = sorted({loss for loss, _ in found}, key=_ORDER.__getitem__)
    lines = [_line(TITLES[x], *(found.get((x, s), "") for s in shapes)) for x in losses]
    return "\n".join([*_header("loss", *shapes), *lines])


def _groups(
    rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]]
) -> Iterable[tuple[tuple[Any, ...], list[Row]]]:
    for found, group in itertools.groupby(sorted(rows, key=key), key):
        yield found, list(group)


def _header(*names: str) -> Sequence[str]:
    return _line(*names), _line(*["---"] * len(names))


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
