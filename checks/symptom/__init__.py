"""Checks of a deployment that exists: why it does not serve."""
