"""Facts about a load test."""
