"""What the losses are to reach: our time over the fastest peer's, memory over the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEMORY = 1.15
_DEFAULT = {"ce": 0.9, "focal": 0.6, "dice_ce": 0.6, "lovasz": 0.12}
_KEEPING = {"dice_ce": 0.8, "lovasz": 0.15}


def goal(row: Mapping[str, Any]) -> float | None:
    """The ratio that a row of times should not exceed; None where there is no goal."""
    if row["shape"] == "small":
        return 1.0
    if row["dtype"] != "float32" or row["pass"] != "both":
        return None
    if row["runner"] == "torch":
        return _torch_eager(row)
    return {"torch compiled": 0.8, "jax": 0.8, "numpy": 0.2}.get(row["runner"])


def _torch_eager(row: Mapping[str, Any]) -> float:
    if row["load"] == "busy":
        return 1.0
    if row["allocator"] == "keeping":
        return _KEEPING.get(row["loss"], 1.0)
    return _DEFAULT.get(row["loss"], 0.7)
