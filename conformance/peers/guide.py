"""The migration guide of the docs, written from the table.

python -m conformance.peers.guide
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from conformance.peers.row import Library, Row
from conformance.peers.table import LIBRARIES
from conformance.traps.rows import ROWS as DEFECTS

GUIDE = Path(__file__).parents[2] / "docs" / "migration.md"

HEAD = """# Coming from another library

<!-- Written by `python -m conformance.peers.guide`; change conformance/peers/rows/ instead. -->

Find your loss on the left, and write what is on the right. The two give the same value and the
same gradient: `pytest conformance/test_peers.py` runs every line on fresh random input, against
the libraries that are installed.

The right column takes `from xploss import *`. The arrays: `z` logits, `p` probabilities, `t`
labels, `y` a dense target (one-hot, several labels per pixel, or soft), `w` pixel weights, `m` a
mask of 0 and 1, `c` one weight per class. Where a line depends on the number of classes, it is 3
unless it says otherwise.

Three things to know first:

* **What is averaged.** Here overlaps are summed over the batch, as if it were one large image;
  `per_image=True` sums them per image and averages the losses. An image without a pixel that counts
  is left out; the others average a 0 or 1 of it in.
* **What is divided by.** `reduction="mean"` divides by the weight of what was counted. Ignored
  pixels leave the divisor, and doubling all weights changes nothing (without smoothing).
* **Smoothing** is 0 by default, for an empty class that is predicted empty costs 0 without it.

Logits are better than probabilities: of those within 1e-7 of 0 and 1, the logarithm is that of
1e-7 here, without a slope. Others cut elsewhere, so that the lines with `from_logits=False` and a
logarithm differ there.

The lines of `LovaszLoss` have `method="sort"` to agree with a sort to the last digit. Leave it out:
the default is as good and much faster ([Lovász](lovasz.md)).

Where a library gives another number than it should, NaN, or an error, a second table says so, and
the right column gives what you meant. A letter with a number, as in (S7), is a row of the
[list of known defects](#known-defects) at the end.
"""

INPUTS = {
    "binary": "one channel",
    "two": "two classes",
    "labels": "several labels per pixel",
    "soft": "soft targets",
}
"""What a reader has to know of the input of a line."""
FAULTS = {"wrong": "another number", "nan": "NaN", "raises": "an error"}


def text() -> str:
    """The guide."""
    links = ", ".join(f"[{x.name}](#{_anchor(x.name)})" for x in LIBRARIES)
    sections = (line for x in LIBRARIES for line in _section(x))
    return "\n".join([HEAD, f"{links}\n", *sections, *_defects()])


def _anchor(name: str) -> str:
    return name.lower().replace(".", "").replace(" ", "-")


def _section(library: Library) -> Iterator[str]:
    last = " The classes are on the last axis." if library.last else ""
    yield f"## {library.name}\n"
    yield f"`{library.imports}`{library.note and chr(10) * 2}{library.note}{last}\n"
    yield from _table(("there", "here", ""), (row for row in library.rows if not row.fault))
    faults = [row for row in library.rows if row.fault]
    if faults:
        yield "Where it goes wrong:\n"
        yield from _table(("there", "gives", "here"), faults)
    if library.missing:
        names = ", ".join(f"`{name}`" for name in library.missing.split(", "))
        yield f"Without a counterpart here: {names}.\n"


def _table(head: tuple[str, ...], rows: Iterable[Row]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        if row.fault:
            yield f"| `{row.peer}` | {FAULTS[row.fault]}: {row.remark} | `{row.ours}` |"
        else:
            remarks = [x for x in (INPUTS.get(row.data), row.remark) if x]
            yield f"| `{row.peer}` | `{row.ours}` | {'; '.join(remarks)} |"
    yield ""


def _defects() -> Iterator[str]:
    yield "## Known defects\n"
    yield "Found in the versions that `conformance/traps/rows.py` names; each is a named test of"
    yield "this library, which gives the right answer or an error that helps.\n"
    yield "| row | defect |"
    yield "| --- | --- |"
    yield from (f"| {name} | {defect} |" for name, defect in DEFECTS.items())
    yield ""


if __name__ == "__main__":
    GUIDE.write_text(text(), encoding="utf-8")
    print(f"wrote {GUIDE}")
