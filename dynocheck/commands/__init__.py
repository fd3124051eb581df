"""One module per verb: a function that takes plain values and returns an exit code."""
