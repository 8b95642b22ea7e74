"""Layer 3: keys and tokens."""
