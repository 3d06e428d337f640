"""Where a loss has no single derivative, or is not continuous: no place for a golden case.

Ties of Lovasz errors and the corner of the hinge have several right gradients. An empty class
predicted 1e-4343 costs 1, predicted 0 it costs 0: no dtype can tell the two apart.
"""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

from conformance.cases import Array, Loss, Sum
from conformance.oracle import lovasz, overlap
from conformance.oracle.activation import Entries, activate
from conformance.oracle.evaluate import terms
from conformance.oracle.layout import Problem
from conformance.oracle.numbers import number
from conformance.oracle.regions import groups

MARGIN = number("1e-4")  # errors that differ by less count as tied
TINY = number("1e-15")
NOTHING = number("1e-30")  # a probability below this moves with no logit


def has_kink(loss: Loss | Sum, pred: Array, target: Array, weight: Array | None) -> bool:
    """Whether any term of the loss has a kink at this prediction."""
    for term in terms(loss, pred, target, weight):
        o, problem = term.o, term.problem
        entries = activate(o, problem)
        if o.name == "LovaszLoss" and _tied(o, problem, entries):
            return True
        if "overlap" in vars(o) and _at_edge(o, problem, entries):
            return True
    return False


def _tied(o: SimpleNamespace, problem: Problem, entries: Entries) -> bool:
    for samples in groups(o, problem):
        for c in problem.counted:
            errors = [
                lovasz.error(o, entry, problem.t[n][c][k] == 1)
                for n in samples
                for k, entry in enumerate(entries[n][c])
                if entry is not None and problem.valid[n][c][k]
                if not (o.from_logits and entry.p * entry.q < NOTHING and _on_probability(o))
            ]
            active = sorted(e for e in errors if e > 0 or _on_probability(o))
            if any(b - a < MARGIN for a, b in pairwise(active)):
                return True
            if not _on_probability(o) and _hinge_corner(o, problem, entries, samples, c):
                return True
    return False


def _on_probability(o: SimpleNamespace) -> bool:
    return bool(o.mode == "multiclass" or o.surrogate == "probability" or not o.from_logits)


def _hinge_corner(
    o: SimpleNamespace, problem: Problem, entries: Entries, samples: list[int], c: int
) -> bool:
    return any(
        abs(entry.x - (1 if problem.t[n][c][k] == 1 else -1)) < MARGIN
        for n in samples
        for k, entry in enumerate(entries[n][c])
        if entry is not None and problem.valid[n][c][k]
    )


def _at_edge(o: SimpleNamespace, problem: Problem, entries: Entries) -> bool:
    for row in overlap.statistics(o, problem, entries):
        for s in row:
            if s.t == 0 and o.smooth == 0 and o.absent == "keep" and 0 < s.p < NOTHING:
                return True
            if o.gamma != 1 and 0 < 1 - overlap.score(o, s) < TINY:
                return True
    return False
