"""Probes of running pods, quotas, limit ranges and autoscalers."""
