"""Keras."""

from __future__ import annotations

from conformance.peers.row import Library, Row
from conformance.peers.rows import FEW, SINGLE

LAST = "class_axis=-1"
PROBABILITIES = f"from_logits=False, {LAST}"

LIBRARY = Library(
    "Keras", "keras", "from keras import losses as keras", last=True,
    note="Probabilities by default, and the target first. Dice and Tversky are one number for the "
    "whole tensor unless `axis` is given; sample weights do not leave anything out of them (Q2). "
    'In `model.compile`, pass `loss=lambda y, z: L(z, keras.ops.cast(y, "int32"))`: Keras makes '
    "floats of labels.",
    missing="CategoricalGeneralizedCrossEntropy",
    rows=(
        Row("keras.Dice()(y, p)",
            f'DiceLoss("multilabel", {PROBABILITIES}, average="micro")(p, y)', data="labels",
            tolerance=FEW),
        Row("keras.Dice(axis=(0, 1, 2))(y, p)", f'DiceLoss("multilabel", {PROBABILITIES})(p, y)',
            "per class", data="labels", tolerance=FEW),
        Row("keras.Dice(axis=(1, 2))(y, p)",
            f'DiceLoss("multilabel", {PROBABILITIES}, per_image=True)(p, y)',
            "per image and class", data="labels", tolerance=FEW),
        Row("keras.Tversky(alpha=0.3, beta=0.7)(y, p)",
            f'TverskyLoss("multilabel", alpha=0.7, beta=0.3, {PROBABILITIES}, '
            'average="micro")(p, y)',
            "**the peer is wrong** up to 3.15.1: alpha and beta are swapped against its "
            "documentation (Q1)", data="labels", tolerance=FEW),
        Row("keras.BinaryCrossentropy(from_logits=True)(y, z)",
            f'CrossEntropyLoss("multilabel", {LAST})(z, y)', data="labels", tolerance=SINGLE),
        Row("keras.BinaryCrossentropy()(y, p)",
            f'CrossEntropyLoss("multilabel", {PROBABILITIES})(p, y)', data="labels",
            tolerance=1e-5),  # a float32 p near 1 has few digits of 1 - p
        Row("keras.BinaryCrossentropy(from_logits=True, label_smoothing=0.1)(y, z)",
            f'CrossEntropyLoss("multilabel", {LAST}, label_smoothing=0.1)(z, y)', data="labels",
            tolerance=SINGLE),
        Row("keras.BinaryCrossentropy(from_logits=True)(y, z, sample_weight=w)",
            f'CrossEntropyLoss("multilabel", {LAST}, reduction="sum")(z, y, weight=w) / y.numel()',
            'the peer divides by the number of pixels; "mean" divides by the sum of the weights',
            data="labels", tolerance=SINGLE),
        Row("keras.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(y, z)",
            f'CrossEntropyLoss("multiclass", {LAST}, label_smoothing=0.1)(z, y)',
            tolerance=SINGLE),
        Row("keras.SparseCategoricalCrossentropy(from_logits=True)(t, z)",
            f'CrossEntropyLoss("multiclass", {LAST})(z, t)', tolerance=SINGLE),
        Row("keras.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)(t, z)",
            f'CrossEntropyLoss("multiclass", {LAST}, ignore_index=255)(z, t)', data="ignored",
            tolerance=SINGLE),
        Row("keras.BinaryFocalCrossentropy(from_logits=True)(y, z)",
            f'FocalLoss("multilabel", {LAST})(z, y)',
            "its alpha counts with apply_class_balancing=True only (Q11)", data="labels",
            tolerance=FEW),
        Row("keras.BinaryFocalCrossentropy(from_logits=True, apply_class_balancing=True)(y, z)",
            f'FocalLoss("multilabel", {LAST}, alpha=0.25)(z, y)', data="labels", tolerance=FEW),
        Row("keras.CategoricalFocalCrossentropy(from_logits=True)(y, z)",
            f'0.25 * FocalLoss("multiclass", {LAST})(z, y)',
            "its single alpha multiplies every class", tolerance=FEW),
        Row("keras.CategoricalFocalCrossentropy(from_logits=True, alpha=[0.5, 2.0, 1.25])(y, z)",
            f'FocalLoss("multiclass", {LAST}, alpha=(0.5, 2.0, 1.25))(z, y)', tolerance=FEW),
        Row("keras.Dice()(y, p, sample_weight=m.new_tensor([0, 1]))",
            f'DiceLoss("multilabel", {PROBABILITIES}, average="micro")'
            "(p, y, weight=m.new_tensor([0, 1])[:, None, None].expand(m.shape))",
            "the number is scaled, no sample left out (Q2)", data="labels", fault="wrong"),
        Row("keras.Dice(axis=(1, 2))(0 * y, 0 * p)",
            f'DiceLoss("multilabel", {PROBABILITIES}, per_image=True)(0 * p, 0 * y)',
            "nothing predicted of nothing: 1 there, 0 here (Q3)", data="labels", fault="wrong"),
        Row("keras.BinaryFocalCrossentropy(from_logits=True)(1 + 0 * y, 0 * z - 30)",
            f'FocalLoss("multilabel", {LAST})(0 * z - 30, 1 + 0 * y)',
            "the hardest errors: 16 there, 30 here, and no gradient (Q6)", data="labels",
            fault="wrong"),
        Row("keras.CategoricalFocalCrossentropy(from_logits=True, axis=1, label_smoothing=0.3)"
            "(y.movedim(-1, 1), z.movedim(-1, 1))",
            '0.25 * FocalLoss("multiclass", label_smoothing=0.3)'
            "(z.movedim(-1, 1), y.movedim(-1, 1))",
            "channels first: smoothed by the width of the image (Q8)", fault="wrong"),
        Row("keras.CategoricalFocalCrossentropy(from_logits=True, axis=1, alpha=[0.5, 2.0, 1.25])"
            "(y.movedim(-1, 1), z.movedim(-1, 1))",
            'FocalLoss("multiclass", alpha=(0.5, 2.0, 1.25))(z.movedim(-1, 1), y.movedim(-1, 1))',
            "channels first: one alpha per class (Q9)", fault="raises"),
        Row("keras.dice(y, p)",
            f'DiceLoss("multilabel", {PROBABILITIES}, average="micro")(p, y)',
            "float16, 512² (Q10)", data="large", dtype="float16", fault="nan"),
    ),
)  # fmt: skip
