"""Losses of other libraries, and what to write in their place: tested, and shown in the docs."""
