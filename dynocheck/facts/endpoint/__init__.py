"""Facts about a served model."""
