"""Probes of the API server, and of the user's permissions and credentials."""
