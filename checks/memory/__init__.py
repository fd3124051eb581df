"""Checks of GPU memory and shared memory."""
