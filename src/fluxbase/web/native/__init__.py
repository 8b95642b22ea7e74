"""The native dialect under /api/v1."""
