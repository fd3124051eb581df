"""An NVML of the tests: libnvidia-ml.so.1 in C, which plays the machine that a file describes."""
