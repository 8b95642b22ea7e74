"""Layer 1: logs and metrics."""
