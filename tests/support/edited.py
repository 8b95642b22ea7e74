"""A function of the running program with its source changed: how tests take a check away."""

from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def found(module: str) -> ModuleType:
    """A module by name."""
    return importlib.import_module(module)


@contextmanager
def edited(module_name: str, owner_path: str, change: Callable[[str], str]) -> Iterator[None]:
    """``Class.method`` or ``function``, everywhere it was imported to, compiled from its changed source."""
    module = found(module_name)
    owner: Any = module
    *path, name = owner_path.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = inspect.getattr_static(owner, name)
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(original)))
    changed = change(source)
    assert changed != source, f"nothing to change in {owner_path}"
    space = dict(vars(module))
    exec(compile("from __future__ import annotations\n" + changed, module.__file__ or "", "exec"), space)
    places = [
        owner,
        *(each for key, each in sys.modules.items() if key.startswith("fluxbase.") and not path and getattr(each, name, None) is original),
    ]
    for place in places:
        setattr(place, name, space[name])
    try:
        yield
    finally:
        for place in places:
            setattr(place, name, original)
