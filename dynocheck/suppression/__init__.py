"""Suppressed findings: inline comments, baselines and --diff."""
