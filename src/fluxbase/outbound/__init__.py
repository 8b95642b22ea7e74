"""Layer 2: the HTTP requests we make, each through the SSRF guard (contract-native 4.6, threat D38)."""
