"""Probes of recipe folders and installed engines."""
