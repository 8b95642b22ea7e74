"""Captcha: a built-in proof of work, and three providers asked over HTTP."""
