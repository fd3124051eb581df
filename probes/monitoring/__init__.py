"""Probes of Prometheus and GPU metrics."""
