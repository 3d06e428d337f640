"""Text that the docstrings of all losses share."""

SHARED = """mode : {"binary", "multiclass", "multilabel"}
    One foreground class; classes that exclude each other (softmax); or classes that do not
    (sigmoid per class).
from_logits : bool, default True
    Whether `pred` holds logits; otherwise probabilities in [0, 1].
class_axis : int, default 1
    The axis of the classes; -1 for channels last.
classes : sequence of int, optional
    The classes that count; the softmax still runs over all.
class_weights : sequence of float, optional
    One weight per counted class.
ignore_index : int, optional
    Pixels with this label are left out of everything; in binary and multi-label mode also
    single entries of a dense target.
reduction : {"mean", "sum", "none"}, default "mean"
    ``"none"`` gives the terms, ``"sum"`` their sum, ``"mean"`` that sum over the sum of the
    weights of what was counted. The terms are {terms}."""

REGION = """per_image : bool, default False
    Whether each sample is scored by itself; otherwise the batch as one.
absent : {"keep", "skip", "zero"}, default {absent}
    What a class without any target pixel does: it is scored by the formula, left out of the
    mean and its divisor, or counted as loss 0."""

OVERLAP = """overlap : {"min", "product", "squared"}, default "min"
    What I, P and T are: Σ w·min(p, t), Σ w·p, Σ w·t; or I = Σ w·p·t; or with P = Σ w·p² and
    T = Σ w·t² too. They agree in I for hard targets; for soft ones only ``"min"`` costs 0 at
    p = t.
average : {"macro", "micro"}, default "macro"
    ``"micro"`` adds I, P and T of the classes before the score."""

TVERSKY = """smooth : float, default 0
    The s of the formula, at least 0.
log_loss : bool, default False
    −ln((score + 1e-7)/(1 + 1e-7)) in the place of 1 − score; finite everywhere.
gamma : float, default 1
    (1 − score)^gamma per class; above 0."""

NOTES = """Empty sets: 0/0 is a perfect score, so an empty class that is predicted empty costs 0,
with a zero gradient. If no pixel counts, the loss is 0 with a zero gradient."""


_PIXELS = "the\n    losses of the pixels, (N, *S), or in the shape of `pred` if not multi-class"
_CLASSES = "class\n    weight times loss of each class, (C,), with `per_image` (N, C)"


def fill(doc: str, pointwise: bool, absent: str) -> str:
    """A loss's docstring with the shared text in the place of its marks."""
    terms = _PIXELS if pointwise else _CLASSES
    texts = {"shared": SHARED, "region": REGION, "overlap": OVERLAP, "tversky": TVERSKY}
    for mark, text in (*texts.items(), ("notes", NOTES)):
        filled = text.replace("{terms}", terms).replace("{absent}", absent)
        indented = "\n".join("    " + line for line in filled.split("\n"))
        doc = doc.replace("    {" + mark + "}", indented)
    return doc
