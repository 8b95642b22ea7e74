"""Fluxbase: one Python process in front of PostgreSQL, every access decided by Row Level Security."""

__version__ = "0.1.0"
