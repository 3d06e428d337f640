"""The table: what users of other libraries have, and what they write here."""

from __future__ import annotations

from conformance.peers.row import Library, Row
from conformance.peers.rows import keras, kornia, monai, nnunet, optax, smp, torch, torch_packages

LIBRARIES: tuple[Library, ...] = (
    torch.LIBRARY,
    monai.LIBRARY,
    smp.LIBRARY,
    kornia.LIBRARY,
    nnunet.LIBRARY,
    keras.LIBRARY,
    optax.LIBRARY,
    torch_packages.TORCHVISION,
    torch_packages.TORCHMETRICS,
)

ROWS: tuple[tuple[Library, Row], ...] = tuple((x, row) for x in LIBRARIES for row in x.rows)
