"""The Lovasz extension of the Jaccard loss, per class.

Source: Berman, Triki and Blaschko 2018 (arXiv:1705.08790): definition 1 is the extension, equation
(8) the softmax form, section 3.1 the hinge.

The set function: with the pixels of S mispredicted, the intersection loses the foreground of S and
the union gains the background of S, so Delta(S) = 1 - (F - fg(S)) / (F + bg(S)), and 0 for 0/0,
where F, fg and bg are counts, or sums of weights. The extension at errors e, sorted down: the sum
over i of e_i (Delta of the first i pixels - Delta of the first i-1 pixels).
"""

from __future__ import annotations

from types import SimpleNamespace

from conformance.oracle.activation import Entries, Entry
from conformance.oracle.layout import Problem
from conformance.oracle.numbers import Number, number, total
from conformance.oracle.options import absent_rule
from conformance.oracle.regions import groups, has_pixel

Pixel = tuple[Number, bool, Number]  # error, foreground, weight


def error(o: SimpleNamespace, entry: Entry, foreground: bool) -> Number:
    """How wrong the entry is: |t - p|, or the hinge max(0, 1 - (2t-1) logit)."""
    if o.mode == "multiclass" or o.surrogate == "probability" or not o.from_logits:
        return 1 - entry.p if foreground else entry.p
    return max(number(0), 1 - entry.x if foreground else 1 + entry.x)


def pixels_of(
    o: SimpleNamespace, problem: Problem, entries: Entries, samples: list[int], c: int
) -> list[Pixel]:
    """The valid pixels of class c in these samples."""
    result = []
    for n in samples:
        for k, entry in enumerate(entries[n][c]):
            if entry is not None and problem.valid[n][c][k]:
                t = problem.t[n][c][k]
                if t not in (0, 1):
                    raise ValueError("Lovasz takes hard targets")
                result.append((error(o, entry, t == 1), bool(t == 1), problem.w[n][c][k]))
    return result


def delta(foreground: Number, missed: Number, added: Number) -> Number:
    """The Jaccard loss with `missed` foreground and `added` background mispredicted."""
    union = foreground + added
    return 1 - (foreground - missed) / union if union != 0 else number(0)


def extension(pixels: list[Pixel]) -> Number:
    """The Lovasz extension of `delta` at the errors of the pixels."""
    foreground = total(w for _, is_fg, w in pixels if is_fg)
    missed = added = value = number(0)
    for e, is_fg, w in sorted(pixels, key=lambda pixel: pixel[0], reverse=True):
        before = delta(foreground, missed, added)
        missed, added = (missed + w, added) if is_fg else (missed, added + w)
        value += e * (delta(foreground, missed, added) - before)
    return value


def class_losses(
    o: SimpleNamespace, problem: Problem, entries: Entries
) -> list[list[Number | None]]:
    """The loss per group and class: None where a class (or the whole group) is left out."""
    rule = absent_rule(o)
    result = []
    for samples in groups(o, problem):
        losses: list[Number | None] = []
        for c in problem.counted:
            pixels = pixels_of(o, problem, entries, samples, c)
            absent = not any(is_fg for _, is_fg, _ in pixels)
            if not has_pixel(problem, samples) or (absent and rule == "skip"):
                losses.append(None)
            else:
                losses.append(number(0) if absent and rule == "zero" else extension(pixels))
        result.append(losses)
    return result
