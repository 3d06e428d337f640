"""Proof that the numbers of xploss are right, on this backend, this device, this dtype."""
