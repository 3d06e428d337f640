"""The faults: an exact text of one file, which occurs there once, and what takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "xploss"


@dataclass(frozen=True)
class Mutant:
    """A fault, and the backend on which it shows."""

    name: str
    file: str
    old: str
    new: str
    backend: str = "numpy"

    def apply(self, source: Path) -> None:
        """Plant the fault in a copy of the package; a ValueError where its text is not found."""
        path = source / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"mutant {self.name}: {self.file} has its text {text.count(self.old)} times, "
                "expected once; bring conformance/mutants/table.py up to date"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


OVERLAP, POINT, ACTS, ENGINE = (
    "losses/overlap.py",
    "losses/pointwise.py",
    "activations.py",
    "engine.py",
)
BINS, ORDER = "losses/_lovasz_bins.py", "losses/_lovasz_order.py"
TORCH, JAX, NUMPY = "adapters/torch.py", "adapters/jax.py", "adapters/numpy.py"

MUTANTS: tuple[Mutant, ...] = (
    # the score of an overlap
    Mutant("alpha and beta swapped", OVERLAP, "wrong = alpha * (p - i) + beta * (t - i)",
           "wrong = beta * (p - i) + alpha * (t - i)"),
    Mutant("smoothing lost", OVERLAP, "right = i + smooth", "right = i"),
    Mutant("slope by the overlap halved", OVERLAP, "-((alpha + beta) * right + wrong) / safe",
           "-((alpha + beta) * right) / safe"),
    Mutant("slope by the prediction with beta", OVERLAP, "by_predicted = alpha * right",
           "by_predicted = beta * right"),
    Mutant("factor of squared overlap lost in pull", OVERLAP,
           "2 * by_predicted * p", "by_predicted * p"),
    Mutant("min of equal numbers differentiated as 1", OVERLAP,
           "xp.where(p > t, xp.zeros_like(t), t)",
           "xp.where(p > t, xp.zeros_like(t), xp.ones_like(t))"),
    Mutant("min of soft targets as product", OVERLAP,
           'elif self.overlap == "min" and not reading.hard:',
           "elif False:"),
    Mutant("absent classes never skipped", OVERLAP,
           'term.absent == "skip"', 'term.absent == "never"'),
    Mutant("absent classes never zero", OVERLAP, 'term.absent == "zero"', 'term.absent == "never"'),
    Mutant("empty samples in the divisor", OVERLAP, "divisor = total * samples",
           "divisor = total * total.shape[0]"),
    Mutant("Dice smoothed twice", OVERLAP, "return 0.5, 0.5, self.smooth / 2",
           "return 0.5, 0.5, self.smooth"),
    Mutant("F-beta turned over", OVERLAP, "return 1 / whole, self.beta**2 / whole,",
           "return self.beta**2 / whole, 1 / whole,"),
    Mutant("offset of the logarithm", OVERLAP, "LOG_OFFSET = 1e-7", "LOG_OFFSET = 1e-8"),
    Mutant("factor gamma lost in the slope", OVERLAP,
           "xp.where(loss > 0, self.gamma * power, zero)",
           "xp.where(loss > 0, power, zero)"),
    Mutant("micro slopes of classes that do not count", OVERLAP,
           "by_overlap, by_predicted = by_overlap * counted, by_predicted * counted", "pass"),
    # cross-entropy and focal loss
    Mutant("class weights lost in the divisor", POINT, "divisor = xp.sum(weights * size)",
           "divisor = xp.sum(size)"),
    Mutant("smoothing over two classes", POINT,
           'even = s / (reading.classes if self.mode == "multiclass" else 2)', "even = s / 2"),
    Mutant("sign of the focal slope of negatives", POINT, '(("log_p", "log_q"), (1, -1)',
           '(("log_p", "log_q"), (1, 1)'),
    Mutant("weight lost in the map", POINT, "return cost if weight is None else cost * weight",
           "return cost"),
    Mutant("masked classes smoothed", POINT, "masked = (t == 0) &", "masked = (t == 1) &"),
    Mutant("factor gamma lost in the focal slope", POINT, "focus * power * ratio", "power * ratio"),
    Mutant("square of the focal factor cubed", POINT, "q * q if focus == 2.0",
           "q * q * q if focus == 2.0"),
    Mutant("alpha on negatives", "losses/focal.py", "(alpha, 1 - alpha) if", "(alpha, alpha) if"),
    Mutant("balance turned over", "losses/cross_entropy.py", "return share, 1 - share",
           "return 1 - share, share"),
    Mutant("positive weight on negatives", "losses/cross_entropy.py",
           "constant(weights, positive)[None, :], one",
           "constant(weights, positive)[None, :], one * 2"),
    # Lovász
    Mutant("Lovász weight of background", ORDER,
           "left / safe / xp.where(before > 0, before, one)", "left / safe / safe"),
    Mutant("Lovász without foreground", ORDER, "slope = xp.where(ground > 0, slope, first)",
           "pass"),
    Mutant("hinge keeps a slope at no error", ORDER, "sign = sign * xp.astype(e > 0, e.dtype)",
           "pass"),
    Mutant("weights lost in the sums of Lovász", ORDER, "b.running_sum(own * every, counts)",
           "b.running_sum(own, counts)"),
    Mutant("Lovász weight of a bin's foreground", BINS, "0.5 * (1 / union0 + 1 / union1)",
           "1 / union0"),
    Mutant("Lovász weight of a bin's background", BINS, "0.5 * (before + after) / union0",
           "before / union0"),
    Mutant("sign of a bin's foreground", BINS, "[1.0, -1.0]", "[1.0, 1.0]"),
    # activations
    Mutant("factor of the sigmoid lost in pull", ACTS, "self.backend.sigmoid(-self.x)",
           "self.backend.sigmoid(self.x)"),
    Mutant("sign of the slope by log q", ACTS, "_sum(pulled, -(self.p * s.log_q))",
           "_sum(pulled, self.p * s.log_q)"),
    Mutant("probabilities clipped too much", ACTS, "CLIP = 1e-7", "CLIP = 1e-6"),
    Mutant("slope where the logarithm is clipped", ACTS, "free = (p >= CLIP) & (p <= 1 - CLIP)",
           "free = p > 0"),
    Mutant("softmax pulled without its mean", ACTS, "pulled = self.p * (g - mean)",
           "pulled = self.p * g"),
    # the walk
    Mutant("ignored labels read", ENGINE, "values.left_out(b, part, ignore)",
           "values.left_out(b, part, None)"),
    Mutant("NaN of ignored pixels read", ENGINE,
           "x = b.xp.where(dead, b.xp.zeros_like(x), x)", "pass"),
    Mutant("pixels of no weight read", "values.py",
           "out = None if laid.weight is None else backend.equals(laid.weight, 0)", "out = None"),
    Mutant("what one term ignores is gone for all", ENGINE, "if len(held) < len(masks):",
           "if not held:"),
    Mutant("weights counted as ones", "reading.py", "if not self.weighted:", "if True:"),
    Mutant("factor of a term lost in the gradient", "scoring.py", "scale = share * factor",
           "scale = share"),
    Mutant("cotangent lost", "scoring.py", "if cotangent is None or term.maps or not slopes:",
           "if True:"),
    Mutant("classes of the terms in another order", "scoring.py",
           "for index in counted]", "for index in sorted(counted)]"),
    Mutant("class axis moved the wrong way", "inputs.py", "x = xp.moveaxis(x, axis, 1)",
           "x = xp.moveaxis(x, 1, axis)"),
    Mutant("counts in float32", "backend.py", '''where the device has it."""
        return self.xp.float64''', '''where the device has it."""
        return self.xp.float32'''),
    Mutant("last pixel of the last tile lost", "tiles.py", "min(pixels, self.pixels - pixel)",
           "min(pixels, self.pixels - pixel - (pixel > 0))"),
    # the checks
    Mutant("one label too many", "values.py", "last = laid.sizes[1] - 1", "last = laid.sizes[1]"),
    Mutant("empty batches taken", "inputs.py", "if 0 in shape:", "if False:"),
    Mutant("negative weights taken", "values.py",
           'if not (low >= 0 and high < float("inf")):', "if False:"),
    Mutant("dense labels with an ignored label taken", "inputs.py",
           'if term.mode == "multiclass" and not laid.labels and term.ignore_index is not None:',
           "if False:"),
    # the adapters
    Mutant("softmax without a shift", NUMPY, "e = np.subtract(z, shift)", "e = z - 0 * shift"),
    Mutant("labels that are no class read", TORCH, "return truth.only_known(taken)",
           "return taken", "torch"),
    Mutant("upstream gradient lost", TORCH, "problem.gradient(state.slopes, cotangent)",
           "problem.gradient(state.slopes, None)", "torch"),
    Mutant("tangent counted twice", JAX, "jnp.sum(gradient * tangents[0].astype(value.dtype))",
           "2 * jnp.sum(gradient * tangents[0].astype(value.dtype))", "jax"),
    Mutant("rounding of tiles lost", JAX, "total.low + lost", "total.low", "jax"),
)  # fmt: skip
