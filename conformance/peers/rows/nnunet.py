"""nnU-Net."""

from __future__ import annotations

from conformance.peers.row import Library, Row
from conformance.peers.rows import SINGLE

OPTIONS = '"smooth": 1e-5, "batch_dice": False, "ddp": False'
FOREGROUND = 'DiceLoss("multiclass", smooth=1e-5, per_image=True, classes=(1, 2))'

LIBRARY = Library(
    "nnU-Net", "nnunetv2",
    "from nnunetv2.training.loss.compound_losses import *",
    note="Its Dice is the negative score, from −1 for a perfect prediction (N9): hence the `- 1`, "
    "which changes no gradient. With `batch_dice=True` leave out `per_image=True`; for the batch "
    "of all ranks all-reduce the arrays of `loss.statistics(...)`.",
    missing="DC_and_topk_loss, TopKLoss, DeepSupervisionWrapper",
    rows=(
        Row('SoftDiceLoss(softmax_helper_dim1, smooth=1e-5, do_bg=False, ddp=False)'
            "(z, t[:, None])", f"{FOREGROUND}(z, t) - 1", tolerance=SINGLE),
        Row("MemoryEfficientSoftDiceLoss(softmax_helper_dim1, batch_dice=True, ddp=False)"
            "(z, t[:, None])", 'DiceLoss("multiclass", smooth=1.0)(z, t) - 1', tolerance=SINGLE),
        Row(f'DC_and_CE_loss({{{OPTIONS}, "do_bg": False}}, {{}})(z, t[:, None])',
            f'({FOREGROUND} + CrossEntropyLoss("multiclass"))(z, t) - 1',
            "as the trainer builds it for labels", tolerance=SINGLE),
        Row(f'DC_and_CE_loss({{{OPTIONS}, "do_bg": False}}, {{}}, ignore_label=255)'
            "(z, t[:, None])",
            '(DiceLoss("multiclass", smooth=1e-5, per_image=True, classes=(1, 2), '
            'ignore_index=255) + CrossEntropyLoss("multiclass", ignore_index=255))(z, t) - 1',
            data="ignored", tolerance=SINGLE),
        Row(f"DC_and_BCE_loss({{}}, {{{OPTIONS}}})(z, y)",
            '(DiceLoss("multilabel", smooth=1e-5, per_image=True) + '
            'CrossEntropyLoss("multilabel"))(z, y) - 1',
            "as the trainer builds it for regions", data="labels", tolerance=SINGLE),
        Row("RobustCrossEntropyLoss()(z, t[:, None])", 'CrossEntropyLoss("multiclass")(z, t)'),
        Row(f"DC_and_BCE_loss({{}}, {{{OPTIONS}}}, use_ignore_label=True)"
            "(z, torch.cat([y, 0 * y[:, :1]], 1))",
            '(DiceLoss("multilabel", smooth=1e-5, per_image=True) + '
            'CrossEntropyLoss("multilabel"))(z, y) - 1',
            "an ignore channel that ignores nothing: the cross-entropy is 3 times as large (N1)",
            data="labels", fault="wrong"),
        Row("SoftDiceLoss(softmax_helper_dim1, batch_dice=True)(z, t[:, None])",
            'DiceLoss("multiclass", smooth=1.0)(z, t) - 1',
            "its own default ddp=True in a single process (N3)", fault="raises"),
    ),
)  # fmt: skip
