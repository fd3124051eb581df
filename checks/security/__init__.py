"""Checks of secrets and privileges."""
