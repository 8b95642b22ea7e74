"""Layer 2: append-only record of changes, written in the changing transaction."""
