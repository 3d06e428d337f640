"""All packages with losses for torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from ..workloads import Workload
from .entry import Offer
from .keras import keras
from .kornia import kornia
from .monai import monai
from .smp import smp
from .torch_own import own
from .torch_targets import Targets


def torchmetrics(work: Workload, t: Targets) -> Offer:
    """Metrics of hard predictions, without a gradient: none has the same job."""
    importlib.import_module("torchmetrics")
    return {}


PACKAGES: dict[str, Callable[[Workload, Targets], Offer]] = {
    "torch": own,
    "smp": smp,
    "MONAI": monai,
    "kornia": kornia,
    "Keras": keras,
    "torchmetrics": torchmetrics,
}
