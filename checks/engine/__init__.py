"""Checks of command lines and configuration of the inference engines."""
