"""Probes of a served model, by real requests."""
