"""Checks of GPUs, heads and experts among ranks."""
