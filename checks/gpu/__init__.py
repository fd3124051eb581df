"""Checks of GPU nodes, the GPU Operator and what recipes ask of them."""
