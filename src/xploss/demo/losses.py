"""The losses that the demo compares: to add one, add a line."""

from xploss import DiceLoss, FBetaLoss, IoULoss, TverskyLoss
from xploss.loss import Loss

from . import DemoError

LOSSES: dict[str, Loss] = {
    "dice": DiceLoss("binary"),
    "iou": IoULoss("binary"),
    "tversky": TverskyLoss("binary", alpha=0.3, beta=0.7),
    "f2": FBetaLoss("binary", beta=2.0),
    "dice+iou": DiceLoss("binary") + IoULoss("binary"),
    "iou+tversky": IoULoss("binary") + 0.5 * TverskyLoss("binary", alpha=0.3, beta=0.7),
}


def chosen(names: list[str] | None) -> dict[str, Loss]:
    """The losses of these names; all without names."""
    for name in names or ():
        if name not in LOSSES:
            raise DemoError(f"no loss is named {name!r}; the names are {', '.join(LOSSES)}")
    return {name: LOSSES[name] for name in names or LOSSES}
