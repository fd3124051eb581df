"""Checks of what a deployment needs in production, beside serving at all; told on request."""
