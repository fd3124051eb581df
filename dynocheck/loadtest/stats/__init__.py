"""Statistics of a load test."""
