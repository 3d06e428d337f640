"""A row of the table: an expression of a peer, and ours that gives the same number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Two expressions over the same names (see `conformance/peers/data.py`)."""

    library: str
    peer: str
    ours: str
    remark: str = ""
    data: str = "classes"
    """Which input: classes, binary, labels (several per pixel), soft, hard, or ignored."""
    tolerance: float = 1e-9
    """Relative; larger where the peer adds a small number that we do not."""
    dtype: str = "float64"
    gradient: bool = True
    """Whether the peer has one to compare."""

    def __str__(self) -> str:
        return f"{self.library}: {self.peer}"


@dataclass(frozen=True)
class Library:
    """A peer: how it is imported, for the names of its expressions, and its array layout."""

    name: str
    package: str
    imports: str
    arrays: str = "torch"
    last: bool = False
    """Whether the classes are on the last axis."""


LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("torch", "torch", "import torch.nn.functional as F"),
        Library("MONAI", "monai", "from monai.losses import *"),
        Library(
            "segmentation_models.pytorch",
            "segmentation_models_pytorch",
            "import segmentation_models_pytorch.losses as smp",
        ),
        Library("kornia", "kornia", "import kornia.losses as K"),
        Library("torchvision", "torchvision", "from torchvision.ops import sigmoid_focal_loss"),
        Library("Keras", "keras", "from keras import losses as keras", last=True),
        Library("optax", "optax", "import optax", arrays="jax", last=True),
        Library(
            "torchmetrics", "torchmetrics", "from torchmetrics.functional.segmentation import *"
        ),
    )
}
