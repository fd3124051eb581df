"""Checks of a served model, by real requests."""
