"""Deployments that do not serve, on the real API server: what `dynocheck diagnose` says of them."""
