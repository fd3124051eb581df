"""Reads recipe folders: YAML with positions, graphs, pods, shell scripts, READMEs, model configurations."""
