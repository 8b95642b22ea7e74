"""Hooks: the application's own code in sign-up, sign-in and token issue."""
