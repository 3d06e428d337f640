"""Faults of the Lovász loss."""

from __future__ import annotations

from conformance.mutants.mutant import Mutant

LOVASZ = "losses/lovasz.py"
BINS, ORDER = "losses/_lovasz_bins.py", "losses/_lovasz_order.py"

MUTANTS: tuple[Mutant, ...] = (
    Mutant("Lovász weight of background", ORDER,
           "left / safe / xp.where(before > 0, before, one)", "left / safe / safe"),
    Mutant("Lovász weights in ascending order", ORDER, "axis=-1, descending=True",
           "axis=-1, descending=False"),
    Mutant("Lovász without foreground", ORDER, "slope = xp.where(ground > 0, slope, first)",
           "pass"),
    Mutant("union that grows with the foreground", ORDER, "union = ground + seen - passed",
           "union = ground + seen"),
    Mutant("Lovász counts in float32", ORDER,
           "counts = reading.accumulator if weighted else b.index_dtype()",
           "counts = b.xp.float32"),
    Mutant("sign of the slope of foreground", ORDER,
           "sign = 1 - 2 * xp.astype(fore, e.dtype)", "sign = 2 * xp.astype(fore, e.dtype) - 1"),
    Mutant("hinge keeps a slope at no error", ORDER, "sign = sign * xp.astype(e > 0, e.dtype)",
           "pass"),
    Mutant("weights lost in the sums of Lovász", ORDER, "b.running_sum(own * every, counts)",
           "b.running_sum(own, counts)"),
    Mutant("Lovász weight of a bin's foreground", BINS, "0.5 * (inverse0 + inverse1)",
           "inverse0"),
    Mutant("Lovász weight of a bin's background", BINS, "0.5 * (before + after) * inverse0",
           "before * inverse0"),
    Mutant("sign of a bin's foreground", BINS, "sign = 1 - 2 * side", "sign = 1"),
    Mutant("one weight for a whole bin", BINS, "-xp.stack([fall_back, fall_fore]",
           "0 * xp.stack([fall_back, fall_fore]"),
    Mutant("no foreground: all bins share", BINS, "(back > 0) & (above == back)",
           "(back > 0)"),
    Mutant("left-out pixels counted in bins", LOVASZ,
           "index = b.xp.where(reading.weight > 0, index, end)", "del end"),
    Mutant("one histogram for all samples", "histograms.py",
           "        if samples > 1:\n", "        if False:\n"),
    Mutant("hinge of probabilities", LOVASZ,
           'self.surrogate == "hinge" and self.mode != "multiclass" and self.from_logits',
           'self.surrogate == "hinge" and self.mode != "multiclass"'),
    Mutant("absent classes kept by default", LOVASZ,
           '"skip" if self.mode == "multiclass" else "keep")', '"keep")'),
    Mutant("a sort gives statistics", LOVASZ, 'if self.method == "sort":\n            raise',
           "if False:\n            raise"),
    Mutant("only some classes scored", LOVASZ, "for c in range(0, classes, step)",
           "for c in range(0, classes, step + 1)"),
    Mutant("hinge slope of bins at no error", BINS, "    if hinge:", "    if False:"),
    Mutant("line of a bin taken at its start", "adapters/_flat.py",
           "found.imag * self.within(place)", "0 * found.imag * self.within(place)"),
    Mutant("mean error of foreground placed among background", BINS,
           "backend.place_errors(average, bins, hinge, side)",
           "backend.place_errors(average, bins, hinge) + bins * side + 0.1"),
)  # fmt: skip
