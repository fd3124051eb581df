"""Checks of results of a load test."""
