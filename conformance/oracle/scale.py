"""How far rounding may move a result: a condition for every number of value and gradient.

A computation rounds its intermediate quantities: a probability p = e^(log p) to within
u p (1 + |log p|), a logarithm to within u (1 + |log p|), a statistic or a score to within u times
itself, a hinge error to within u (1 + |x|), where u is the unit roundoff. The scale of a value is
the sum of these over all quantities, each times the derivative of the value by the quantity, plus
the value itself. The scale of a gradient adds up the magnitudes of the products that the chain rule
adds up. A result in sensible arithmetic is within a small multiple of u times the scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

from conformance.cases import Array, Loss, Sum
from conformance.oracle import overlap
from conformance.oracle.activation import CLIP, Entries, Entry, activate
from conformance.oracle.evaluate import Term, contract, finish_overlap, terms
from conformance.oracle.layout import pred_places
from conformance.oracle.numbers import STEP, Number, close, isfinite, number, total
from conformance.oracle.regions import groups

SATURATED = number("1e-40")
Slope = dict[str, Number]  # derivative of the contracted value by each quantity of an entry


def scales(
    loss: Loss | Sum, pred: Array, target: Array, weight: Array | None, cotangent: Array | None
) -> tuple[list[Number], list[Number]]:
    """The scales of the value and of the gradient, number by number."""
    value_scale: list[Number] = []
    gradient_scale = [number(0)] * len(pred.data)
    for term in terms(loss, pred, target, weight):
        by_value, by_gradient = _term_scales(term, cotangent)
        value_scale = _add(value_scale, by_value) if value_scale else by_value
        gradient_scale = _add(gradient_scale, by_gradient)
    return value_scale, gradient_scale


def _term_scales(term: Term, cotangent: Array | None) -> tuple[list[Number], list[Number]]:
    entries = activate(term.o, term.problem)
    scale = [abs(v) for v in term.result(entries)[1]]
    slopes = {
        (n, c, k): _entry_slopes(term, entries, (n, c, k), scale, cotangent)
        for n, sample in enumerate(entries)
        for c, row in enumerate(sample)
        for k, entry in enumerate(row)
        if entry is not None
    }
    gain = number(1)
    if "overlap" in vars(term.o):
        gain = _statistics_slopes(term, entries, scale, slopes, cotangent)
    return scale, _gradient_scale(term, entries, slopes, gain)


def _difference(value: Callable[[Number], list[Number]]) -> list[Number]:
    up, down = value(STEP), value(-STEP)
    return [(a - b) / (2 * STEP) for a, b in zip(up, down, strict=True)]


def _entry_slopes(
    term: Term,
    entries: Entries,
    place: tuple[int, int, int],
    scale: list[Number],
    cotangent: Array | None,
) -> Slope:
    """The slopes of one entry; what its rounding does to the value is added to `scale`."""
    n, c, k = place
    entry = entries[n][c][k]
    assert entry is not None
    slopes = dict.fromkeys(ROUNDED, number(0))
    for name in _read(term.o):
        if not isfinite(getattr(entry, name)):
            continue

        def value(step: Number, name: str = name) -> list[Number]:
            entries[n][c][k] = replace(entry, **{name: getattr(entry, name) + step})
            return term.result(entries)[1]

        moved = _difference(value)
        entries[n][c][k] = entry
        slopes[name] = contract(moved, cotangent)
        size = ROUNDED[name](entry)
        scale[:] = [s + size * abs(m) for s, m in zip(scale, moved, strict=True)]
    return slopes


def _read(o: SimpleNamespace) -> tuple[str, ...]:
    """The quantities of an entry that a loss may read."""
    if "overlap" in vars(o):
        return ("p",)
    if o.name == "LovaszLoss":
        return ("p", "x") if o.from_logits and o.mode != "multiclass" else ("p",)
    logs = ("log_p",) if o.mode == "multiclass" else ("log_p", "log_q")
    return logs if o.name == "CrossEntropyLoss" else ("p", "q", *logs)


def _about_p(entry: Entry) -> Number:
    """The rounding of a probability; one that is 1 in every dtype is exact."""
    return number(0) if entry.q < SATURATED else _relative(entry)


def _relative(entry: Entry) -> Number:
    """The rounding p (1 + |log p|) of p = e^(log p): u for itself, u |log p| for its logarithm."""
    return entry.p * (1 + abs(entry.log_p)) if isfinite(entry.log_p) else number(0)


ROUNDED: dict[str, Callable[[Entry], Number]] = {
    "p": _about_p,
    "q": lambda entry: entry.q + _about_p(entry),
    "log_p": lambda entry: 1 + abs(entry.log_p),
    "log_q": lambda entry: 1 + abs(entry.log_q),
    "x": lambda entry: 1 + abs(entry.x),
}


def _statistics_slopes(
    term: Term,
    entries: Entries,
    scale: list[Number],
    slopes: dict[tuple[int, int, int], Slope],
    cotangent: Array | None,
) -> Number:
    """Adds the rounding of I, P, T and score to `scale`; returns the gain of gamma's slope.

    The slopes by a probability become the magnitudes that I and P contribute, added up.
    """
    o = term.o
    table = overlap.statistics(o, term.problem, entries)
    gain = number(1)
    for held in slopes.values():
        held["p"] = number(0)
    for samples, row in zip(groups(o, term.problem), table, strict=True):
        for j, s in enumerate(row):
            for name in ("i", "p"):
                by_statistic = contract(_statistic_slope(term, table, row, j, name), cotangent)
                counted = term.problem.counted
                for c in counted if o.average == "micro" else counted[j : j + 1]:
                    for place, rate in _rates(term, entries, samples, c, name):
                        slopes[place]["p"] += abs(term.factor * by_statistic * rate)
            score = overlap.score(o, s)
            if o.gamma != 1 and not close(score, number(1)):
                gain = max(gain, 1 + abs(o.gamma - 1) * abs(score / (1 - score)))
            for name in ("i", "p", "t", "slip"):
                size = abs(getattr(s, name) * term.factor)
                if size == 0:
                    continue  # exact, and a step would leave the empty class
                slope = _statistic_slope(term, table, row, j, name)
                scale[:] = [a + size * abs(m) for a, m in zip(scale, slope, strict=True)]
    return gain


def _rates(
    term: Term, entries: Entries, samples: list[int], c: int, name: str
) -> Iterator[tuple[tuple[int, int, int], Number]]:
    """The derivative of I or P of class c by the probability of each of its entries."""
    o, problem = term.o, term.problem
    for n in samples:
        for k, entry in enumerate(entries[n][c]):
            if entry is None or not problem.valid[n][c][k]:
                continue
            t = problem.t[n][c][k]
            rate = 2 * entry.p if o.overlap == "squared" else number(1)
            if name == "i":
                rate = t
                if o.overlap == "min" and not close(entry.p, t):
                    rate = number(1 if entry.p < t else 0)
            yield (n, c, k), problem.w[n][c][k] * rate


def _statistic_slope(
    term: Term, table: overlap.Table, row: list[overlap.Statistics], j: int, name: str
) -> list[Number]:
    """The derivative of the unscaled value by one statistic of row[j]."""
    given = row[j]

    def value(step: Number) -> list[Number]:
        row[j] = replace(given, **{name: getattr(given, name) + step})
        return finish_overlap(term.o, term.problem, table)[1]

    slope = _difference(value)
    row[j] = given
    return slope


def _gradient_scale(
    term: Term, entries: Entries, slopes: dict[tuple[int, int, int], Slope], gain: Number
) -> list[Number]:
    samples, classes, pixels = term.problem.sizes
    at = pred_places(term.o, term.pred.shape)
    result = [number(0)] * len(term.pred.data)
    for n in range(samples):
        for k in range(pixels):
            column = {}
            for c in range(classes):
                entry = entries[n][c][k]
                if entry is not None:
                    column[c] = entry, slopes[n, c, k]
            for c, v in _column_scale(term.o, column).items():
                result[at[n][c][k]] = gain * v
    return result


def _column_scale(o: SimpleNamespace, column: dict[int, tuple[Entry, Slope]]) -> dict[int, Number]:
    """The scales of the gradient at the classes of one pixel."""
    result = {}
    sizes = {c: _by_p(slope) for c, (_, slope) in column.items()}
    for c, (entry, slope) in column.items():
        if not o.from_logits:
            result[c] = sizes[c] + _through_logarithm(entry, slope)
            continue
        if o.mode == "multiclass":
            about_p = _relative(entry)
            mean = total(e.p * sizes[k] for k, (e, _) in column.items())
            truth = total(abs(s["log_p"]) for _, s in column.values())
            through_p = about_p * (sizes[c] + mean) + max(entry.p, about_p) * truth
            result[c] = through_p + abs(slope["log_p"])
        else:
            about_p = _about_p(entry)
            logs = abs(slope["log_p"]) + max(entry.p, about_p) * abs(slope["log_q"])
            result[c] = about_p * sizes[c] + logs + abs(slope["x"])
    return result


def _by_p(slope: Slope) -> Number:
    return abs(slope["p"]) + abs(slope["q"])


def _through_logarithm(entry: Entry, slope: Slope) -> Number:
    """The part of a derivative by a probability that comes through its logarithms."""
    if not CLIP < entry.p < 1 - CLIP:
        return abs(slope["x"])
    return abs(slope["log_p"]) / entry.p + abs(slope["log_q"]) / entry.q + abs(slope["x"])


def _add(a: list[Number], b: list[Number]) -> list[Number]:
    return [u + v for u, v in zip(a, b, strict=True)]
