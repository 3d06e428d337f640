"""MONAI."""

from __future__ import annotations

from conformance.peers.row import Library, Row
from conformance.peers.rows import CLASSES_OF_MEAN, SINGLE, UNNORMALISED

HOT = "to_onehot_y=True, softmax=True"
DICE = 'DiceLoss("multiclass", smooth=1e-5, per_image=True'
LABELS = 'DiceLoss("multilabel", smooth=1e-5, per_image=True'
ENTROPY, FOCAL = 'CrossEntropyLoss("multiclass")', 'FocalLoss("multilabel")'

LIBRARY = Library(
    "MONAI", "monai", "from monai.losses import *",
    note="No activation is applied unless `sigmoid=True` or `softmax=True` says so: without one, "
    "take `from_logits=False` here. Overlaps are summed per image unless `batch=True`.",
    missing="GeneralizedDiceLoss, GeneralizedDiceFocalLoss, GeneralizedWassersteinDiceLoss, "
    "SoftclDiceLoss, SoftDiceclDiceLoss, HausdorffDTLoss, BoundaryLoss, MCCLoss, NACLLoss, "
    "AUCMLoss",
    rows=(
        Row(f"DiceLoss({HOT})(z, t[:, None])", f"{DICE})(z, t)"),
        Row(f"DiceLoss({HOT}, batch=True)(z, t[:, None])",
            'DiceLoss("multiclass", smooth=1e-5)(z, t)'),
        Row("DiceLoss()(p, y)",
            'DiceLoss("multilabel", from_logits=False, smooth=1e-5, per_image=True)(p, y)'),
        Row(f"DiceLoss({HOT}, include_background=False)(z, t[:, None])",
            f"{DICE}, classes=(1, 2))(z, t)"),
        Row(f"DiceLoss({HOT}, squared_pred=True)(z, t[:, None])",
            f'{DICE}, overlap="squared")(z, t)', tolerance=SINGLE),
        Row(f"DiceLoss({HOT}, jaccard=True)(z, t[:, None])",
            'JaccardLoss("multiclass", smooth=5e-6, per_image=True)(z, t)',
            "the peer smooths against 2·I: half the number here"),
        Row(f"DiceLoss({HOT}, weight=c)(z, t[:, None])",
            f'{DICE}, class_weights=c, reduction="none")(z, t).mean()', UNNORMALISED),
        Row(f"DiceLoss({HOT}, ignore_index=255)(z, t[:, None])", f"{DICE}, ignore_index=255)(z, t)",
            data="ignored"),
        Row("MaskedDiceLoss(softmax=True)(z, y, m[:, None])", f"{DICE})(z, y, weight=m)"),
        Row("DiceLoss(sigmoid=True)(z, y)", f"{LABELS})(z, y)", data="labels"),
        Row("DiceLoss(sigmoid=True)(z, y)", f'{LABELS}, overlap="product")(z, y)',
            "not 0 where the target is met (T1)", data="soft"),
        Row("DiceLoss(sigmoid=True, soft_label=True)(z, y)", f"{LABELS})(z, y)",
            "0 where the target is met", data="soft"),
        Row(f"TverskyLoss({HOT}, alpha=0.3, beta=0.7)(z, t[:, None])",
            'TverskyLoss("multiclass", alpha=0.3, beta=0.7, smooth=1e-5, per_image=True)(z, t)'),
        Row("FocalLoss()(z, y)", f"{FOCAL}(z, y)", data="labels", tolerance=SINGLE),
        Row("FocalLoss(alpha=0.25)(z, y)", 'FocalLoss("multilabel", alpha=0.25)(z, y)',
            data="labels", tolerance=SINGLE),
        Row("FocalLoss(weight=c)(z, y)",
            'FocalLoss("multilabel", class_weights=c, reduction="none")(z, y).mean()',
            UNNORMALISED, data="labels", tolerance=SINGLE),
        Row("FocalLoss(to_onehot_y=True, use_softmax=True)(z, t[:, None])",
            'FocalLoss("multiclass")(z, t) / 3', CLASSES_OF_MEAN, tolerance=SINGLE),
        Row("FocalLoss(to_onehot_y=True, use_softmax=True, ignore_index=255)(z, t[:, None])",
            'FocalLoss("multiclass", ignore_index=255)(z, t)',
            "naming an ignore label, the peer divides by the pixels alone: 3 times the number of "
            "the row above (M1)", data="ignored", tolerance=SINGLE),
        Row("FocalLoss(to_onehot_y=True, use_softmax=True, alpha=0.25)(z, t[:, None])",
            'FocalLoss("multiclass", alpha=(0.75, 0.25, 0.25))(z, t) / 3',
            "a single alpha is 1 − alpha for class 0 there", tolerance=SINGLE),
        Row(f"DiceCELoss({HOT})(z, t[:, None])", f"({DICE}) + {ENTROPY})(z, t)"),
        Row(f"DiceCELoss({HOT}, lambda_dice=0.3, lambda_ce=0.7, label_smoothing=0.1)"
            "(z, t[:, None])",
            f'(0.3 * {DICE}) + 0.7 * CrossEntropyLoss("multiclass", label_smoothing=0.1))(z, t)'),
        Row("DiceCELoss(sigmoid=True)(z, y)",
            '(DiceLoss("binary", smooth=1e-5, per_image=True) + CrossEntropyLoss("binary"))(z, y)',
            "for several channels see below (M12)", data="binary"),
        Row("DiceFocalLoss(sigmoid=True)(z, y)", f"({LABELS}) + {FOCAL})(z, y)", data="labels",
            tolerance=SINGLE),
        Row(f"DiceFocalLoss({HOT})(z, t[:, None])", f"({DICE}) + {FOCAL})(z, t)",
            "**the peer is wrong**: its focal part is that of sigmoid (M13); you may want "
            '`FocalLoss("multiclass")`', tolerance=SINGLE),
        Row("AsymmetricUnifiedFocalLoss(weight=0, delta=0.7, gamma=0.75)(p, y)",
            '(TverskyLoss("multiclass", alpha=0.3, beta=0.7, per_image=True, classes=(0,), '
            "from_logits=False) + "
            'TverskyLoss("multiclass", alpha=0.3, beta=0.7, gamma=0.25, per_image=True, '
            "classes=(1,), from_logits=False))(p, y) / 2",
            "delta weighs false negatives, and the exponent is 1 − gamma",
            data="two", tolerance=SINGLE),
        Row("AsymmetricUnifiedFocalLoss(weight=1, delta=0.7, gamma=2)(p, y)",
            '(0.3 * FocalLoss("multiclass", gamma=2, classes=(0,), from_logits=False, '
            'reduction="sum") + 0.7 * CrossEntropyLoss("multiclass", classes=(1,), '
            'from_logits=False, reduction="sum"))(p, y) / y.numel()',
            "only the background is focal, and weight multiplies this part, not the "
            "Tversky part (M22)", data="two", tolerance=SINGLE),
        Row('FocalLoss(reduction="sum")(z, y)', 'FocalLoss("multilabel", reduction="sum")(z, y)',
            "the peer's sum is one of means (M14)", data="labels", fault="wrong"),
        Row("DiceLoss(sigmoid=True, ignore_index=255, batch=True)(z, y)",
            'DiceLoss("multilabel", smooth=1e-5, ignore_index=255)(z, y)',
            "pixels without any label are ignored there (M2)", data="labels", fault="wrong"),
        Row("DiceCELoss(sigmoid=True)(z, y)", f'({LABELS}) + CrossEntropyLoss("multilabel"))(z, y)',
            "several channels: its cross-entropy is that of softmax (M12)", data="labels",
            fault="wrong"),
        Row("DiceCELoss(sigmoid=True, label_smoothing=0.3)(z, y)",
            '(DiceLoss("binary", smooth=1e-5, per_image=True) + '
            'CrossEntropyLoss("binary", label_smoothing=0.3))(z, y)',
            "one channel is not smoothed (M11)", data="binary", fault="wrong"),
        Row(f"MaskedDiceLoss({HOT})(z, t[:, None], m[:, None])", f"{DICE})(z, t, weight=m)",
            "labels are masked to class 0, which they then count for", fault="wrong"),
        Row(f"DiceCELoss({HOT}, ignore_index=255)(z, t[:, None])",
            f'({DICE}, ignore_index=255) + CrossEntropyLoss("multiclass", ignore_index=255))(z, t)',
            "it has no ignore label (M4)", data="ignored", fault="raises"),
        Row(f"DiceCELoss({HOT}, weight=[0.5, 2.0, 1.25])(z, t[:, None])",
            f"({DICE}, class_weights=(0.5, 2.0, 1.25)) + "
            'CrossEntropyLoss("multiclass", class_weights=(0.5, 2.0, 1.25)))(z, t)',
            "a list is taken by DiceLoss only (M10)", fault="raises"),
        Row(f"DiceLoss({HOT}, ignore_index=255)(z, t[:, None])", f"{DICE}, ignore_index=255)(z, t)",
            "NaN logits under ignored pixels (M3)", data="nan", fault="nan"),
        Row("DiceLoss(smooth_nr=0, smooth_dr=0)(0 * p, 0 * y)",
            'DiceLoss("multilabel", from_logits=False, per_image=True)(0 * p, 0 * y)',
            "nothing predicted of nothing; 0 here (M8)", fault="nan"),
        Row("FocalLoss(to_onehot_y=True, use_softmax=True, gamma=0.5)(40 * z, t[:, None])",
            'FocalLoss("multiclass", gamma=0.5)(40 * z, t)',
            "sure pixels with gamma below 1 (M15)", dtype="float32", fault="nan"),
        Row(f"DiceLoss({HOT})(z, t[:, None])", f"{DICE})(z, t)", "float16, 512²: 1 or NaN whatever is predicted "
            "(M16)", data="large", dtype="float16", fault="wrong"),
    ),
)  # fmt: skip
