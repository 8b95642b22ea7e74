"""The aggregate that makes a body of all rows, one for each form of representation (contract 1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxbase.db.sql import qualified

if TYPE_CHECKING:
    from fluxbase.data.media import Handler, Plan, Representation

SCALAR = "pgrst_scalar"
"""Name of the column that holds a scalar function's value; CSV shows it."""
_CSV_NAME = """case when k ~ E'[",\\r\\n]' then '"'||replace(k,'"','""')||'"' else k end"""


def body_sql(media: Representation, rows: str = "_t", *, is_scalar: bool = False, is_single: bool = False) -> str:
    """``is_scalar``: each row is one value; ``is_single``: there is one row, shown without an array."""
    each = f"{rows}.{SCALAR}" if is_scalar else rows
    match media.form:
        case "json" | "object":
            return f"{_json(media, each, is_single=is_single or media.form == 'object')}::text"
        case "csv":
            return _csv(rows)
        case "geojson":
            features = f"coalesce(json_agg({qualified(media.schema, 'st_asgeojson')}({rows})::json),'[]')"
            return f"json_build_object('type','FeatureCollection','features',{features})::text"
        case "handler":
            assert media.handler is not None  # noqa: S101 - the form says so
            return _handled(media.handler, each)


def _json(media: Representation, each: str, *, is_single: bool) -> str:
    text = f"json_agg({each})->0" if is_single else f"json_agg({each})"
    text = f"json_strip_nulls({text})" if media.is_stripped else text
    return f"coalesce({text},'{'null' if is_single else '[]'}')"


def _csv(rows: str) -> str:
    """RFC 4180. PostgreSQL's text of a row quotes as CSV does, except that it doubles backslashes."""
    names = f"(select string_agg({_CSV_NAME},',') from json_object_keys(row_to_json((array_agg({rows}))[1])) k)"
    line = rf"replace(substr({rows}::text,2,length({rows}::text)-2),E'\\\\',E'\\')"
    return rf"coalesce({names},'')||E'\n'||coalesce(string_agg({line},E'\n'),'')"


def _handled(handler: Handler, each: str) -> str:
    if not handler.name:
        value = f"(array_agg({each}))[1]"
    else:
        argument = each if handler.row_type is None else f"{each}::{qualified(*handler.row_type)}"
        value = f"{qualified(handler.schema, handler.name)}({argument})"
    return f"encode({value}::bytea,'hex')" if handler.is_binary else f"{value}::text"


def explain_sql(plan: Plan) -> str:
    """What precedes a statement whose plan is the answer."""
    return f"explain ({', '.join((f'format {plan.format}', *plan.options))}) "
