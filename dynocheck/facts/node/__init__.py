"""Facts about the machine that dynocheck runs on."""
