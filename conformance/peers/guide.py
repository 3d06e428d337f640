"""The migration guide of the docs, written from the table.

python -m conformance.peers.guide
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.peers.row import LIBRARIES, Library
from conformance.peers.table import ROWS

GUIDE = Path(__file__).parents[2] / "docs" / "migration.md"

HEAD = """# Coming from another library

<!-- Written by `python -m conformance.peers.guide`; change conformance/peers/table.py instead. -->

Each line gives the same value and the same gradient: the expressions are run against each other on
random input by `pytest conformance/test_peers.py`. The names: `z` logits, `p` probabilities, `t`
labels, `y` a dense target (one-hot, several labels or soft), `w` pixel weights, `c` one weight per
class; three classes where a line depends on their number. A letter with a number in brackets is a
row of the list of known defects in `conformance/traps/rows.py`.
"""


def text() -> str:
    """The guide."""
    return "\n".join([HEAD, *(line for x in LIBRARIES.values() for line in _section(x))])


def _section(library: Library) -> Iterator[str]:
    yield f"## {library.name}\n"
    yield f"`{library.imports}`" + (
        "; the classes are on the last axis.\n" if library.last else "\n"
    )
    yield "| there | here | remark |"
    yield "| --- | --- | --- |"
    for row in ROWS:
        if row.library == library.name:
            yield f"| `{row.peer}` | `{row.ours}` | {row.remark} |"
    yield ""


if __name__ == "__main__":
    GUIDE.write_text(text(), encoding="utf-8")
    print(f"wrote {GUIDE}")
