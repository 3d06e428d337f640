"""torchvision and torchmetrics."""

from __future__ import annotations

from conformance.peers.row import Library, Row

TORCHVISION = Library(
    "torchvision", "torchvision", "from torchvision.ops.focal_loss import sigmoid_focal_loss",
    hollow=("torchvision", "torchvision.ops"),
    rows=(
        Row('sigmoid_focal_loss(z, y, reduction="mean")',
            'FocalLoss("multilabel", alpha=0.25)(z, y)', data="labels"),
        Row('sigmoid_focal_loss(z, y, alpha=-1, gamma=1.5, reduction="sum")',
            'FocalLoss("multilabel", gamma=1.5, reduction="sum")(z, y)', "no alpha below 0",
            data="labels"),
    ),
)  # fmt: skip

TORCHMETRICS = Library(
    "torchmetrics", "torchmetrics", "from torchmetrics.functional.segmentation import *",
    note="Metrics of hard predictions, without a gradient: `p` is one-hot here. A class in neither "
    "prediction nor target is left out there, per image, and has the score 1 here.",
    missing="generalized_dice_score, hausdorff_distance",
    rows=(
        Row('dice_score(p.long(), y.long(), num_classes=3, average="macro").mean()',
            '1 - DiceLoss("multilabel", from_logits=False, per_image=True)(p, y)',
            data="hard", gradient=False, tolerance=1e-6),
        Row('dice_score(p.long(), y.long(), num_classes=3, average="micro").mean()',
            '1 - DiceLoss("multilabel", from_logits=False, per_image=True, average="micro")(p, y)',
            data="hard", gradient=False, tolerance=1e-6),
        Row('dice_score(p.long(), y.long(), num_classes=3, average="macro", '
            "include_background=False).mean()",
            '1 - DiceLoss("multilabel", from_logits=False, per_image=True, classes=(1, 2))(p, y)',
            data="hard", gradient=False, tolerance=1e-6),
        Row("mean_iou(p.long(), y.long(), num_classes=3).mean()",
            '1 - JaccardLoss("multilabel", from_logits=False, per_image=True)(p, y)',
            data="hard", gradient=False, tolerance=1e-6),
        Row("mean_iou(p.long(), y.long(), num_classes=3, per_class=True).mean(0)",
            '1 - JaccardLoss("multilabel", from_logits=False, per_image=True, '
            'reduction="none")(p, y).mean(0)',
            data="hard", gradient=False, tolerance=1e-6),
        Row("dice_score(0 * p.long(), 0 * y.long(), num_classes=3).mean()",
            '1 - DiceLoss("multilabel", from_logits=False, per_image=True)(0 * p, 0 * y)',
            "nothing predicted of nothing; 1 here", data="hard", gradient=False, fault="nan"),
    ),
)  # fmt: skip
