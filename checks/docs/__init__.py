"""Checks of READMEs."""
