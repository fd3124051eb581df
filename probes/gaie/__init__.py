"""Probes of the Gateway API Inference Extension."""
