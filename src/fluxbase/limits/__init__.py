"""Layer 2: how often."""
