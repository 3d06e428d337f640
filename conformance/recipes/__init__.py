"""What the golden cases are: the calls, drawn from seeds, without their answers."""

from __future__ import annotations

from conformance.recipes import edges, layouts, lovasz, mixed, overlap, pointwise, sums
from conformance.recipes.calls import Call

__all__ = ["Call", "recipes"]


def recipes() -> dict[str, list[Call]]:
    """The calls of every golden file, by the name of the file."""
    modules = {
        "overlap": overlap,
        "pointwise": pointwise,
        "lovasz": lovasz,
        "layouts": layouts,
        "edges": edges,
        "sums": sums,
        "mixed": mixed,
    }
    return {name: list(module.calls()) for name, module in modules.items()}
