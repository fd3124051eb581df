"""Checks, tables and charts of load tests."""
