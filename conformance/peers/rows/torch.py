"""torch's own functions."""

from __future__ import annotations

from conformance.peers.row import Library, Row

LIBRARY = Library(
    "torch", "torch", "import torch.nn.functional as F",
    note="`torch.nn.CrossEntropyLoss` and `torch.nn.BCEWithLogitsLoss` take the same arguments.",
    rows=(
        Row("F.cross_entropy(z, t)", 'CrossEntropyLoss("multiclass")(z, t)'),
        Row("F.cross_entropy(z, t, weight=c)",
            'CrossEntropyLoss("multiclass", class_weights=c)(z, t)'),
        Row("F.cross_entropy(z, t, ignore_index=255)",
            'CrossEntropyLoss("multiclass", ignore_index=255)(z, t)', data="ignored"),
        Row("F.cross_entropy(z, t, label_smoothing=0.1)",
            'CrossEntropyLoss("multiclass", label_smoothing=0.1)(z, t)'),
        Row("F.cross_entropy(z, t, weight=c, ignore_index=255, label_smoothing=0.1)",
            'CrossEntropyLoss("multiclass", class_weights=c, ignore_index=255, '
            "label_smoothing=0.1)(z, t)", data="ignored"),
        Row("F.cross_entropy(z, y)", 'CrossEntropyLoss("multiclass")(z, y)', data="soft"),
        Row("F.cross_entropy(z, y, label_smoothing=0.1)",
            'CrossEntropyLoss("multiclass", label_smoothing=0.1)(z, y)', data="soft"),
        Row("F.cross_entropy(z, y, weight=c)",
            'CrossEntropyLoss("multiclass", class_weights=c, reduction="sum")(z, y) / t.numel()',
            "for dense targets the peer divides by the number of pixels, for labels by their "
            'weights; "mean" divides by the weights for both', data="soft"),
        Row('F.cross_entropy(z, t, reduction="none")',
            'CrossEntropyLoss("multiclass", reduction="none")(z, t)'),
        Row('F.cross_entropy(z, t, reduction="sum")',
            'CrossEntropyLoss("multiclass", reduction="sum")(z, t)'),
        Row('(w * F.cross_entropy(z, t, reduction="none")).sum() / w.sum()',
            'CrossEntropyLoss("multiclass")(z, t, weight=w)'),
        Row("F.nll_loss(p.log(), t)", 'CrossEntropyLoss("multiclass", from_logits=False)(p, t)'),
        Row("F.binary_cross_entropy_with_logits(z, y)", 'CrossEntropyLoss("binary")(z, y)',
            data="binary"),
        Row("F.binary_cross_entropy_with_logits(z, y)", 'CrossEntropyLoss("multilabel")(z, y)',
            data="labels"),
        Row("F.binary_cross_entropy_with_logits(z, y)", 'CrossEntropyLoss("multilabel")(z, y)',
            data="soft"),
        Row("F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(3.0))",
            'CrossEntropyLoss("binary", pos_weight=3)(z, y)', data="binary"),
        Row("F.binary_cross_entropy_with_logits(z, y, pos_weight=c[:, None, None])",
            'CrossEntropyLoss("multilabel", pos_weight=c)(z, y)', data="labels"),
        Row("F.binary_cross_entropy_with_logits(z, y, weight=w[:, None])",
            'CrossEntropyLoss("binary", reduction="sum")(z, y, weight=w) / y.numel()',
            'the peer divides by the number of pixels; "mean" divides by the sum of the weights',
            data="binary"),
        Row('F.binary_cross_entropy_with_logits(z, y, reduction="none")',
            'CrossEntropyLoss("multilabel", reduction="none")(z, y)', data="labels"),
        Row("F.binary_cross_entropy(p, y)", 'CrossEntropyLoss("binary", from_logits=False)(p, y)',
            data="binary"),
        Row("F.multilabel_soft_margin_loss(z, y)", 'CrossEntropyLoss("multilabel")(z, y)',
            data="labels"),
        Row("F.cross_entropy(z, t * 0 + 255, ignore_index=255)",
            'CrossEntropyLoss("multiclass", ignore_index=255)(z, t * 0 + 255)',
            "with every pixel ignored; 0 here", fault="nan"),
    ),
)  # fmt: skip
