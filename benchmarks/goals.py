"""What the losses are to reach: our time over the fastest peer's, memory over the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEMORY = 1.15
TEMPORARIES = 0.2
"""What a compiler plans beside the outputs, in memory over the logits."""
_TINY = "MONAI"
_DEFAULT = {"ce": 0.9, "focal": 0.6, "dice_ce": 0.6, "lovasz": 0.12}
_KEEPING = {"dice_ce": 0.8, "lovasz": 0.15}


def goal(row: Mapping[str, Any]) -> float | None:
    """The ratio that a row of times should not exceed; None where there is no goal."""
    if row["shape"] == "small":
        measured = row["runner"] == "torch" and row["load"] == "idle"
        return 1.0 if measured and _TINY in row["ratios"] else None
    if row["dtype"] != "float32" or row["pass"] != "both":
        return None
    if row["runner"] == "torch":
        return _torch_eager(row)
    return {"torch compiled": 0.8, "jax": 0.8, "numpy": 0.2}.get(row["runner"])


def ratio(row: Mapping[str, Any]) -> float:
    """The ratio that the goal is for: to the fastest peer, on tiny arrays to MONAI."""
    tiny = row["shape"] == "small"
    return float(row["ratios"][_TINY]["median"] if tiny else row["ratio"])


def _torch_eager(row: Mapping[str, Any]) -> float:
    if row["load"] == "busy":
        return 1.0
    if row["allocator"] == "keeping":
        return _KEEPING.get(row["loss"], 1.0)
    return _DEFAULT.get(row["loss"], 0.7)
