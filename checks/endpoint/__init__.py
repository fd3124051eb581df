"""Checks of a served model, based on real requests to it."""
