"""Probes of the API server, its version and what the user may do."""
