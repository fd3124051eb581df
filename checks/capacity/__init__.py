"""Checks of whether a recipe's pods fit the nodes and quotas."""
