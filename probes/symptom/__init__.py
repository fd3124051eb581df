"""Probes of a deployment that exists: its objects, events and logs."""
