"""The target of a workload in each format that a package for torch wants."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..workloads import Workload


@dataclass
class Targets:
    """Targets, each made when first asked for and kept."""

    work: Workload
    labels: Any
    """int64, (N, *S)."""

    @property
    def dtype(self) -> Any:
        """The dtype of the logits."""
        return getattr(importlib.import_module("torch"), self.work.dtype)

    @cached_property
    def column(self) -> Any:
        """int64, (N, 1, *S)."""
        return self.labels[:, None].contiguous()

    @cached_property
    def mask(self) -> Any:
        """Of the logits' dtype, (N, 1, *S)."""
        return self.column.to(self.dtype)

    @cached_property
    def one_hot(self) -> Any:
        """Of the logits' dtype, (N, C, *S)."""
        zeros = importlib.import_module("torch").zeros
        empty = zeros(self.work.shape, dtype=self.dtype, device=self.labels.device)
        return empty.scatter_(1, self.column, 1)

    @property
    def usual(self) -> Any:
        """What we and most others take: the mask of torch's binary cross-entropy, or labels."""
        return self.mask if self.work.mode == "binary" else self.labels
