"""Facts about a Kubernetes cluster."""
