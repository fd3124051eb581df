"""A model of kube-scheduler: which pods fit on which nodes, computed from facts alone."""
