"""Checks of the machine that dynocheck runs on."""
