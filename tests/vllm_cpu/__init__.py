"""The real vLLM, on CPUs, for `make verify`."""
