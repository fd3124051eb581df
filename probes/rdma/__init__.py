"""Probes of the NVIDIA Network Operator."""
