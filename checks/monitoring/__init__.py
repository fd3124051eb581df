"""Checks of Prometheus and GPU metrics."""
