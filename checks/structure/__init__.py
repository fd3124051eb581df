"""Checks of a recipe's files and folders."""
