"""optax."""

from __future__ import annotations

from conformance.peers.row import Library, Row
from conformance.peers.rows import UNNORMALISED

SOFT = "class_axis=-1, smooth=1.0, per_image=True"

LIBRARY = Library(
    "optax", "optax", "import optax", arrays="jax", last=True,
    note="Dice is one number per image, and `smooth` is 1 by default.",
    missing="multiclass_generalized_dice_loss, poly_loss_cross_entropy",
    rows=(
        Row("optax.softmax_cross_entropy_with_integer_labels(z, t).mean()",
            'CrossEntropyLoss("multiclass", class_axis=-1)(z, t)'),
        Row("optax.softmax_cross_entropy_with_integer_labels(z, t)",
            'CrossEntropyLoss("multiclass", class_axis=-1, reduction="none")(z, t)'),
        Row("optax.softmax_cross_entropy(z, y)",
            'CrossEntropyLoss("multiclass", class_axis=-1, reduction="none")(z, y)', data="soft"),
        Row("optax.softmax_cross_entropy(z, optax.smooth_labels(y, 0.1))",
            'CrossEntropyLoss("multiclass", class_axis=-1, label_smoothing=0.1, '
            'reduction="none")(z, y)'),
        Row("(w * optax.softmax_cross_entropy_with_integer_labels(z, t)).sum() / w.sum()",
            'CrossEntropyLoss("multiclass", class_axis=-1)(z, t, weight=w)'),
        Row("optax.sigmoid_binary_cross_entropy(z, y).mean()",
            'CrossEntropyLoss("multilabel", class_axis=-1)(z, y)', data="labels"),
        Row("optax.sigmoid_focal_loss(z, y).mean()",
            'FocalLoss("multilabel", class_axis=-1)(z, y)', data="labels"),
        Row("optax.sigmoid_focal_loss(z, y, alpha=0.25, gamma=2.0).mean()",
            'FocalLoss("multilabel", class_axis=-1, alpha=0.25)(z, y)', data="labels"),
        Row("optax.losses.dice_loss(z, y).mean()", f'TverskyLoss("multiclass", {SOFT})(z, y)'),
        Row("optax.losses.dice_loss(z, y, alpha=0.3, beta=0.7).mean()",
            f'TverskyLoss("multiclass", alpha=0.3, beta=0.7, {SOFT})(z, y)'),
        Row("optax.losses.dice_loss(z, y, ignore_background=True).mean()",
            f'TverskyLoss("multiclass", classes=(1, 2), {SOFT})(z, y)'),
        Row("optax.losses.dice_loss(z, y, class_weights=c).mean()",
            f'TverskyLoss("multiclass", class_weights=c, {SOFT}, reduction="none")(z, y).mean()',
            UNNORMALISED),
        Row("optax.losses.dice_loss(p, y, apply_softmax=False).mean()",
            f'TverskyLoss("multiclass", {SOFT}, from_logits=False)(p, y)'),
        Row("optax.losses.dice_loss(z, y).mean()", f'TverskyLoss("binary", {SOFT})(z, y)',
            data="binary"),
        Row("optax.losses.binary_dice_loss(z[..., 0], y[..., 0]).mean()",
            'TverskyLoss("binary", smooth=1.0, per_image=True)(z, y)', data="binary"),
        Row("optax.losses.binary_dice_loss(p[..., 0], y[..., 0], apply_sigmoid=False).mean()",
            'TverskyLoss("binary", smooth=1.0, per_image=True, from_logits=False)(p, y)',
            "valid probabilities (O1)", data="binary", fault="raises"),
        Row("jax.jit(lambda q: optax.losses.dice_loss(q, y, apply_softmax=False).mean())(p)",
            f'TverskyLoss("multiclass", {SOFT}, from_logits=False)(p, y)',
            "probabilities under jit (O2)", fault="raises"),
        Row("optax.losses.dice_loss(z, t).mean()", f'TverskyLoss("multiclass", {SOFT})(z, t)',
            "labels (O6)", fault="raises"),
        Row("optax.losses.dice_loss(z, y).mean()", f'TverskyLoss("multiclass", {SOFT})(z, y)',
            "float16, 512²: 1 or NaN whatever is predicted (O4)", data="large", dtype="float16",
            fault="wrong"),
    ),
)  # fmt: skip
