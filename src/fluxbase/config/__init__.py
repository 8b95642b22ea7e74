"""Layer 0: the typed configuration tree and how it is read."""
