"""Checks of what a recipe's README says."""
