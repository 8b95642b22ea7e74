# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# The keys in a body are JSON from outside; each is checked where it is read.
"""``DELETE …/bulk`` with the rows' keys in the body: ``[1,2]`` or ``{"ids":[1,2]}`` (contract-native 1.3). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxbase.data.body import load_json
from fluxbase.data.grammar import Field, Filter
from fluxbase.kernel.errors import InvalidInput
from fluxbase.web.native.operators import array_text

if TYPE_CHECKING:
    from fluxbase.data.snapshot import Relation


def keys_of(body: bytes, most: int) -> list[Any]:
    """The keys. Raises InvalidInput for none, too many or nested ones."""
    value = load_json(body) if body.strip() else None
    keys = value.get("ids") if isinstance(value, dict) else value
    if not isinstance(keys, list) or not keys or any(item is None or isinstance(item, list | dict) for item in keys):
        raise InvalidInput("Name at least one filter, or the keys in the body.", code="filter_required", hint='For example {"ids":[1,2]}.')
    if len(keys) > most:
        raise InvalidInput(f"At most {most} rows in one request.", code="batch_too_large")
    return keys


def key_filter(relation: Relation, keys: list[Any], values: list[str]) -> Filter:
    """The condition on the primary key. Raises InvalidInput when it has not exactly one column."""
    if len(relation.primary_key) != 1:
        raise InvalidInput("This table has no primary key of one column; use filters.", code="no_single_key")
    values.append(array_text(keys))
    return Filter(Field(relation.primary_key[0]), "in", is_negated=False, quantifier=None, language=None, slot=len(values) - 1)
