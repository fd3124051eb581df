"""Checks of whether what is asked for fits the nodes and quotas."""
