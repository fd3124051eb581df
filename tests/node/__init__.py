"""A real node under a real control plane, for tests: containers that run, crash and cannot be pulled."""
