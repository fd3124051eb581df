"""Checks of the Gateway API Inference Extension."""
