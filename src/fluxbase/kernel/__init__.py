"""Layer 0: plain types every other package may use. Imports nothing of Fluxbase."""
