"""Probes of the Dynamo platform and its namespace."""
