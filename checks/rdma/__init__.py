"""Checks of RDMA devices of nodes and recipes."""
