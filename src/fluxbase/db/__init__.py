"""Layer 1: the only package that imports the PostgreSQL driver."""
