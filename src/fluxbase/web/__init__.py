"""Layer 4: the only package that knows HTTP frameworks, headers and cookies."""
