"""Loads the rules every test run follows, whatever folder is asked for."""

pytest_plugins = ("tests.support.long", "tests.support.no_skips", "pytester")
