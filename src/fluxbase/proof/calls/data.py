"""Rows and functions, in both dialects, on the planted table ``fluxbase_proof`` and its functions."""

from __future__ import annotations

from fluxbase.proof.call import SERVICE, USER, Call

_WRITERS = (*USER, *SERVICE)
_BACK = {"prefer": "return=representation"}
_ROW = {"canary": "{mine}", "note": "{mark}", "is_public": False}
_REFUSED = "the method is refused"


def _native_rows(collection: str) -> tuple[Call, ...]:
    return (
        Call("GET", collection),
        Call("POST", collection, by=_WRITERS, body={"id": "{new}", **_ROW}, headers=_BACK, status=(200, 201)),
        Call("PATCH", collection + "?id=eq.{row}", by=_WRITERS, body={"note": "{mark}"}, headers=_BACK),
        Call("DELETE", collection + "?id=eq.{spare}", by=_WRITERS, headers=_BACK),
    )


def _native_row(row: str) -> tuple[Call, ...]:
    return (
        Call("GET", row.format(id="{row}"), by=_WRITERS),
        Call("PATCH", row.format(id="{row}"), by=_WRITERS, body={"note": "{mark}"}, headers=_BACK),
        Call("PUT", row.format(id="{row}"), by=_WRITERS, body={"id": "{row}", **_ROW}, headers=_BACK),
        Call("DELETE", row.format(id="{spare}"), by=_WRITERS, headers=_BACK, status=(200, 204), shows="", because="the row is gone"),
    )


_ASYNC = Call(
    "POST", "/api/v1/rpc/{schema}/fluxbase_proof_rows", body={"async": True}, status=(202,), shows="", because="runs in the background",
    keep={"execution": "execution_id"},
)  # fmt: skip

CALLS: dict[str, tuple[Call, ...]] = {
    "rest.table": (
        Call("GET", "/rest/v1/fluxbase_proof"),
        Call("GET", "/rest/v1/fluxbase_proof?id=eq.{row}", by=_WRITERS),
        Call("GET", "/rest/v1/fluxbase_proof", headers={"accept-profile": "{own_schema}"}),
        Call("POST", "/rest/v1/fluxbase_proof", by=_WRITERS, body={"id": "{new}", **_ROW}, headers=_BACK, status=(201,)),
        Call("PUT", "/rest/v1/fluxbase_proof?id=eq.{row}", by=_WRITERS, body={"id": "{row}", **_ROW}, headers=_BACK, status=(200, 201)),
        Call("PATCH", "/rest/v1/fluxbase_proof?id=eq.{row}", by=_WRITERS, body={"note": "{mark}"}, headers=_BACK),
        Call("DELETE", "/rest/v1/fluxbase_proof?id=eq.{spare}", by=_WRITERS, headers=_BACK),
    ),
    "rest.rpc": (
        Call("GET", "/rest/v1/rpc/fluxbase_proof_rows"),
        Call("POST", "/rest/v1/rpc/fluxbase_proof_rows", body={}),
        Call("POST", "/rest/v1/rpc/fluxbase_proof_leave", body={"other": "{tenant}"}, status=(200,)),
        *(
            Call(method, "/rest/v1/rpc/fluxbase_proof_rows", status=(405,), shows="", because=_REFUSED)
            for method in ("PUT", "PATCH", "DELETE")
        ),
    ),
    "tables.list": (Call("GET", "/api/v1/tables", shows="", because="names tables only"),),
    "tables.collection": _native_rows("/api/v1/tables/fluxbase_proof"),
    "tables.collection_or_row": (
        *_native_rows("/api/v1/tables/{schema}/fluxbase_proof"),
        *_native_row("/api/v1/tables/fluxbase_proof/{id}"),
    ),
    "tables.row": (
        *_native_row("/api/v1/tables/{{schema}}/fluxbase_proof/{id}"),
        Call("POST", "/api/v1/tables/{schema}/fluxbase_proof/query", body={}),
    ),
    "rpc.procedures": (Call("GET", "/api/v1/rpc/procedures", shows="", because="names functions only"),),
    "rpc.call": (Call("POST", "/api/v1/rpc/{schema}/fluxbase_proof_rows", body={}), _ASYNC),
    "rpc.execution": (Call("GET", "/api/v1/rpc/executions/{execution}", before=(_ASYNC,), shows="execution"),),
    "rpc.logs": (Call("GET", "/api/v1/rpc/executions/{execution}/logs", before=(_ASYNC,), shows="", because="lines of the server"),),
}
