"""Probes of results of a load test."""
