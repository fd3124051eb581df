"""Facts about recipes: files, graphs, components, containers."""
