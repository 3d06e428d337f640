"""The losses that the demo compares: to add one, add a line."""

from xploss import CrossEntropyLoss, DiceLoss, FocalLoss, IoULoss, Loss, LovaszLoss, TverskyLoss

from . import DemoError

LOSSES: dict[str, Loss] = {
    "dice": DiceLoss("binary"),
    "iou": IoULoss("binary"),
    "tversky": TverskyLoss("binary", alpha=0.3, beta=0.7),
    "dice+iou": 0.5 * DiceLoss("binary") + 0.5 * IoULoss("binary"),
    "ce": CrossEntropyLoss("binary"),
    "focal": FocalLoss("binary", gamma=2.0),
    "lovasz": LovaszLoss("binary"),
    "dice+ce": DiceLoss("binary") + CrossEntropyLoss("binary"),
    "dice+focal": DiceLoss("binary") + FocalLoss("binary", gamma=2.0),
}


def chosen(names: list[str] | None) -> dict[str, Loss]:
    """The losses of these names; all without names."""
    for name in names or ():
        if name not in LOSSES:
            raise DemoError(f"no loss is named {name!r}; the names are {', '.join(LOSSES)}")
    return {name: LOSSES[name] for name in names or LOSSES}
