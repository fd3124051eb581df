"""The checks of Acme's clusters: what they look at, how it is read, what must hold."""
