"""Identities that hold for every loss and all input: the laws, and how to draw their cases."""

from __future__ import annotations

from conformance.laws import identities, layouts, masks, parts, slopes
from conformance.laws.law import LAWS, Law

__all__ = ["LAWS", "Law", "identities", "layouts", "masks", "parts", "slopes"]
