"""The data area's own SQL: functions called in the background. Every statement runs as the caller, under its signed identity."""

BEGIN_EXECUTION = "select fluxbase.begin_execution($1::uuid,$2::text,$3::text,$4::float8)"
START_EXECUTION = "select fluxbase.start_execution($1::uuid)"
FAIL_EXECUTION = "select fluxbase.end_execution($1::uuid,$2::text,null,null,$3::jsonb)"
READ_EXECUTION = "select fluxbase.read_execution($1::uuid)::text"


def ending_itself(sql: str, position: int) -> str:
    """A call's statement that also records its success, in the same transaction; ``position`` is the place of the id's parameter.

    The six columns of a statement's answer stay as they are (``data/compile.py``).
    """
    return (
        f"with _e(a,b,c,d,e,f) as materialized ({sql}) "  # noqa: S608 - sql is a compiled statement, every value a parameter
        f"select a,b,c,d,e,f,fluxbase.end_execution(${position}::uuid,'completed',a,case when a = '' then 0 else b::bigint end,null) "
        "from _e"
    )
