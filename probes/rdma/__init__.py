"""Probes of RDMA devices of nodes and recipes."""
