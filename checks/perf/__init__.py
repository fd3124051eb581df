"""Checks of a recipe's benchmark."""
