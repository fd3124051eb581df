"""Putting an endpoint under load and measuring how it bears it."""
