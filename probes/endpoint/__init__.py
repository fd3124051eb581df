"""Probes that send requests to a served model."""
