"""structlog without what it colours tracebacks with: rich, pygments and attrs, 4 MB in a process that writes lines of JSON.

structlog takes rich when it can be imported. Importing this module first tells it that it cannot; the commands of the terminal,
which show tables with rich, find it as before. ``log.format: console`` shows tracebacks in black and white.
"""

from __future__ import annotations

import sys
from importlib import import_module

_loaded = {"rich": sys.modules["rich"]} if "rich" in sys.modules else {}
sys.modules["rich"] = None  # type: ignore[assignment] # the import system's own word for "there is none"
try:
    import_module("structlog")
finally:
    del sys.modules["rich"]
    sys.modules.update(_loaded)
