"""Faults of the walk, the score, the statistics and the checks; and of the maps."""

from __future__ import annotations

from conformance.mutants.mutant import Mutant

WALK, READER, READING, SCORING = "walk.py", "reader.py", "reading.py", "scoring.py"
LIBRARY = "library.py"
INPUTS, VALUES, LOSS = "inputs.py", "values.py", "loss.py"
DISTANCE, BORDER, FREQUENCIES = "maps/_distance.py", "maps/_border.py", "maps/_frequencies.py"

MUTANTS: tuple[Mutant, ...] = (
    # the walk
    Mutant("ignored labels read", READER, "values.left_out(b, target, weight, ignore)",
           "values.left_out(b, target, weight, None)"),
    Mutant("NaN of ignored pixels read", READER,
           "x = b.xp.where(dead, b.xp.zeros_like(x), x)", "pass"),
    Mutant("pixels of no weight read", VALUES,
           "out = None if weight is None else backend.equals(weight, 0)", "out = None"),
    Mutant("what one term ignores is gone for all", READER, "if len(held) < len(masks):",
           "if not held:"),
    Mutant("gradient made ahead not scaled", WALK,
           "return self.backend.multiply(place, factor, place)", "return place"),
    Mutant("gradient made ahead taken for whole where pixels are left out", WALK,
           "if scorer.on_host(given) and float(factor) == 1.0:", "if scorer.on_host(given):"),
    Mutant("both sides of a sigmoid without what they share", "kernels.py",
           "xp.where(above, -z, zero) - cost", "xp.where(above, -z, zero)"),
    Mutant("held gradient used twice", WALK, "room, memory.room = memory.room, None",
           "room = memory.room", "torch"),
    Mutant("values of tiles not looked at", READER,
           "if self.looking and not fine and not self._in_range(x, target, weight):", "if False:"),
    Mutant("soft targets remembered as hard", READER, "self.memory.hard = not self._soft",
           "self.memory.hard = True"),
    Mutant("samples not added", "backend.py", "if not per_sample:\n            parts",
           "if False:\n            parts"),
    Mutant("ignored pixels counted in the size", READING,
           "if self.weight is None:\n            key", "if True:\n            key"),
    Mutant("weights counted as ones", READING, "if not self.weighted:", "if True:"),
    Mutant("weights per class lost at the truth", READING,
           "w = self.at_truth(w) if w.shape[1] > 1 else w", "w = w[:, :1, :]"),
    Mutant("targets not squared", READING, "self.dense if power is None else self.dense**power",
           "self.dense"),
    Mutant("last pixel of the last tile lost", "tiles.py", "min(m, pixels - pixel)",
           "min(m, pixels - pixel - (pixel > 0))"),
    Mutant("last samples in a tile of their own lost", "tiles.py",
           "min(k, samples - sample)", "min(k, samples)", "torch"),
    Mutant("counts in float32", LIBRARY, '''where the device has it."""
        return self.xp.float64''', '''where the device has it."""
        return self.xp.float32'''),
    # the score
    Mutant("factor of a term lost in the gradient", SCORING, "scale = share * factor",
           "scale = share"),
    Mutant("factor of a term lost in the value", SCORING, "Scored(value * factor,",
           "Scored(value,"),
    Mutant("cotangent lost", SCORING, "if cotangent is None or term.maps or not slopes:",
           "if True:"),
    Mutant("classes of the terms in another order", SCORING,
           "for index in counted]", "for index in sorted(counted)]"),
    Mutant("terms of unequal shape added", SCORING, "if len(set(shapes)) > 1:", "if False:"),
    Mutant("product with a number forgets the factor", LOSS,
           "(scale * held, term) for held", "(scale, term) for held"),
    Mutant("quotient as a product", LOSS,
           "return self * (1 / parameters.number(", "return self * (parameters.number("),
    Mutant("rest of the class weights 1", LOSS,
           "return self.vector(1.0 if self.class_weights is None else self.class_weights, "
           "classes, 0.0)",
           "return self.vector(1.0 if self.class_weights is None else self.class_weights, "
           "classes, 1.0)"),
    # the statistics
    Mutant("statistics that do not add", "statistics.py",
           "self._with(a + b for a, b in zip(", "self._with(a for a, b in zip("),
    Mutant("statistics of two losses added", "statistics.py", "if other.loss != self.loss:",
           "if False:"),
    Mutant("statistics of another loss scored", LOSS, "if statistics.loss != self:", "if False:"),
    # layouts and checks
    Mutant("class axis moved the wrong way", INPUTS, "x = backend.xp.moveaxis(x, axis, 1)",
           "x = backend.xp.moveaxis(x, 1, axis)"),
    Mutant("class axis not moved back", INPUTS,
           "return planes if axis == 1 else xp.moveaxis(planes, 1, axis)",
           "return planes if axis == 1 else xp.reshape(planes, shape)"),
    Mutant("one label too many", VALUES, "last = laid.sizes[1] - 1", "last = laid.sizes[1]"),
    Mutant("soft targets taken as hard", VALUES,
           'if term.hard_targets and backend.isdtype(laid.target, "real floating"):', "if False:"),
    Mutant("logits taken for probabilities", VALUES,
           "if not term.from_logits:\n        _check_probabilities", "if False:\n        "
           "_check_probabilities"),
    Mutant("checks stay off after the context", VALUES, "_CHECKS.reset(token)", "pass"),
    Mutant("empty batches taken", INPUTS, "if 0 in shape:", "if False:"),
    Mutant("one class taken as multi-class", INPUTS,
           'if term.mode == "multiclass" and shape[axis] < 2:', "if False:"),
    Mutant("arrays of two libraries taken", INPUTS, "if not backend.owns(x):", "if False:"),
    Mutant("integer weights taken", INPUTS,
           'if not backend.isdtype(weight, ("bool", "real floating")):', "if False:"),
    Mutant("negative weights taken", VALUES,
           'if not (low >= 0 and high < float("inf")):', "if False:"),
    Mutant("dense labels with an ignored label taken", INPUTS,
           'if term.mode == "multiclass" and not laid.labels and term.ignore_index is not None:',
           "if False:"),
    Mutant("NaN taken as a parameter", "parameters.py",
           "if not (abs(plain) < math.inf and low <= plain <= high):",
           "if abs(plain) == math.inf or plain < low or plain > high:"),
    Mutant("repeated classes taken", "parameters.py",
           "if min(checked) < 0 or len(set(checked)) < len(checked):", "if min(checked) < 0:"),
    # maps
    Mutant("squared distances", DISTANCE, "return xp.sqrt(squares)", "return squares"),
    Mutant("size of a pixel lost", "maps/_sweep.py",
           "steps = (pixels[:, None] - sources[None, :]) * spacing",
           "steps = pixels[:, None] - sources[None, :]", "strict"),
    Mutant("one cell counted twice", BORDER, "same = label[:, None, :] == found[..., None]",
           "same = label[:, None, :] != label[:, None, :]"),
    Mutant("half in the exponent lost", BORDER, "xp.exp(-0.5 * ratio", "xp.exp(-1.0 * ratio"),
    Mutant("classes that do not occur counted", FREQUENCIES,
           "present = {c: n for c, n in enumerate(found.pixels) if n}\n    total",
           "present = {c: max(n, 1) for c, n in enumerate(found.pixels)}\n    total"),
    Mutant("ignored labels counted", FREQUENCIES, "if ignore_index is not None:\n        ignored",
           "if False:\n        ignored"),
)  # fmt: skip
