"""Checks of NVIDIA drivers and CUDA."""
