"""Defects that other loss libraries have, and the tests that ours has none of them."""
