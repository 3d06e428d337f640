"""Every loss written again from its definition, in plain Python, to 80 digits.

Nothing here is shared with the library: no import, no array package, only loops over samples,
classes and pixels. `value` and `gradient` are meant to be read beside the papers that they cite.
"""

from __future__ import annotations

from conformance.oracle.evaluate import gradient, value
from conformance.oracle.numbers import Number, decimal, number
from conformance.oracle.scale import scales

__all__ = ["Number", "decimal", "gradient", "number", "scales", "value"]
