"""Probes of GPU nodes, the GPU Operator and DRA."""
