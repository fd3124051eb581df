"""Checks of transport between workers."""
