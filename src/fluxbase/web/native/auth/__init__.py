"""/api/v1/auth: the native wire over the services of auth."""
