"""Mails to users: a queue in the tenant's database, templates, and the sender that empties the queue."""
