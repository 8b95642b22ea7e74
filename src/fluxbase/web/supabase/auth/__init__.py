"""/auth/v1: GoTrue's wire over the services of auth."""
