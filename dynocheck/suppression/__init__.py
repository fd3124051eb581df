"""Findings that do not count: inline comments, baselines and changes since a git revision."""
