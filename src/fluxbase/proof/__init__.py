"""``fluxbase tenant prove``: two tenants, every route, every credential crossed (issue 4.7, threats A4, A5, F56, F57).

How a route is called stands in ``calls/``, one table an area; a route that is in no table fails the proof.
"""
