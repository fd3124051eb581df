"""Probes of StorageClasses, claims and model weights."""
