"""Segmentation losses, written once against the Python Array API, with their gradients."""

from . import maps
from .loss import Loss
from .losses.cross_entropy import CrossEntropyLoss
from .losses.focal import FocalLoss
from .losses.lovasz import LovaszLoss
from .losses.overlap import DiceLoss, FBetaLoss, IoULoss, JaccardLoss, TverskyLoss
from .statistics import Statistics
from .values import checks

__all__ = [
    "CrossEntropyLoss",
    "DiceLoss",
    "FBetaLoss",
    "FocalLoss",
    "IoULoss",
    "JaccardLoss",
    "Loss",
    "LovaszLoss",
    "Statistics",
    "TverskyLoss",
    "checks",
    "maps",
]
__version__ = "0.1.0"
