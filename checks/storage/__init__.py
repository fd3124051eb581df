"""Checks of StorageClasses, claims and model weights."""
