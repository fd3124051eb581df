"""Checks of manifests as the API server reads them."""
