"""How long probes may take that do not wait for a server alone."""

READING_LIMIT_S = 300.0  # to read recipes: a tree of thousands of files takes longer than a server may
