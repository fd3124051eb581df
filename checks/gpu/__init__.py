"""Checks of GPU nodes, the GPU Operator and the recipes that use them."""
