"""Checks of files and folders of a recipe."""
