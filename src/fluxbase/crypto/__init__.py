"""Layer 1: keys, signatures and sealing."""
