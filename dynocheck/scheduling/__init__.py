"""How kube-scheduler decides which pod goes to which node, as a pure model of facts."""
