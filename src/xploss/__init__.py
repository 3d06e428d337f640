"""Segmentation losses, written once against the Python Array API, with their gradients."""

from .losses.overlap import DiceLoss, FBetaLoss, IoULoss, JaccardLoss, TverskyLoss
from .values import checks

__all__ = ["DiceLoss", "FBetaLoss", "IoULoss", "JaccardLoss", "TverskyLoss", "checks"]
__version__ = "0.1.0"
