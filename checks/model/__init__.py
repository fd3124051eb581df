"""Checks of which model, of which revision, from where."""
