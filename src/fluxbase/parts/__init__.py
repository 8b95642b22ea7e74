"""The composition root by area: one file builds the services of one area and the routes that lead to them.

``app.py`` calls them in order. A file here only wires: what is decided stands in the services.
"""
