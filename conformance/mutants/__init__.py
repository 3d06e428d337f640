"""Faults that are planted in the library to see whether the tests find them."""
