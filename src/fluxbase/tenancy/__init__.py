"""Layer 2: which tenant, in which database."""
