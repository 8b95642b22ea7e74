"""Rewriting policies: only identity calls, only per row, never text that merely looks like one."""

import pytest

from fluxbase.db.policy_rewrite import PolicyParseError, replace_claim_settings, rewrite_policies


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("owner = auth.uid()", "owner = (select auth.uid())"),
        ("auth . uid ( ) = owner", "(select auth . uid ( )) = owner"),
        ('"auth".uid() = owner', '(select "auth".uid()) = owner'),
        ("auth.uid(/* ) */) = owner", "(select auth.uid(/* ) */)) = owner"),
        ("auth.jwt() ->> 'team' = team and auth.role() = 'x'", "(select auth.jwt()) ->> 'team' = team and (select auth.role()) = 'x'"),
        (
            "exists (select 1 from m where m.u = auth.uid() and m.t = t.id)",
            "exists (select 1 from m where m.u = (select auth.uid()) and m.t = t.id)",
        ),
        ("(select f(t.a, auth.uid()))", "(select f(t.a, (select auth.uid())))"),
        ("name = 'é' and owner = auth.uid()", "name = 'é' and owner = (select auth.uid())"),
    ],
)
def test_a_per_row_call_is_wrapped(before: str, after: str) -> None:
    """Exactly the call is wrapped; every other byte of the policy stays."""
    assert (
        rewrite_policies(f"create policy p on t using ({before}); -- auth.uid()").sql
        == f"create policy p on t using ({after}); -- auth.uid()"
    )


@pytest.mark.parametrize(
    "kept",
    [
        "owner = (select auth.uid())",
        "owner = ( SELECT auth.uid() AS uid)",
        "team in (select auth.jwt() ->> 'team')",
        "name = 'auth.uid()' /* auth.uid() */",
        "name = $$auth.uid()$$",
        "uid() = owner and other.uid() = owner and auth.uid(owner)",
        "exists (select from auth.uid() u where u = owner)",
    ],
)
def test_what_is_no_per_row_call_is_kept(kept: str) -> None:
    """Wrapped calls, strings, comments, other functions and table functions stay as they are."""
    sql = f"create policy p on t using ({kept})"
    assert rewrite_policies(sql).sql == sql
    assert rewrite_policies(sql).policies == ()


def test_only_policies_are_rewritten() -> None:
    """Defaults, views and function bodies call auth.uid() as their author wrote it."""
    sql = "create table t (o uuid default auth.uid()); create view v as select auth.uid(); create function f() returns uuid return auth.uid();"
    assert rewrite_policies(sql).sql == sql


def test_both_sides_and_several_policies_are_rewritten() -> None:
    """USING and WITH CHECK, CREATE and ALTER, each policy named with its number of calls."""
    done = rewrite_policies(
        "create policy a on s.t using (o = auth.uid()) with check (o = auth.uid());\nalter policy b on u with check (auth.uid() = o);"
    )
    assert done.sql.count("(select auth.uid())") == 3
    assert [(p.policy, p.table, p.calls) for p in done.policies] == [("a", "s.t", 2), ("b", "u", 1)]


def test_rewriting_twice_changes_nothing_more() -> None:
    """The rewriter is idempotent."""
    once = rewrite_policies("create policy a on t using (o = auth.uid() or auth.role() = 'x')").sql
    assert rewrite_policies(once).sql == once


def test_text_that_does_not_parse_is_refused() -> None:
    """Broken SQL is an error with PostgreSQL's words."""
    with pytest.raises(PolicyParseError, match="syntax error"):
        rewrite_policies("create policy on using")


def test_claim_settings_become_verified_claims() -> None:
    """Reads of request.jwt.claims become auth.jwt(); other request settings are named and kept."""
    text, names = replace_claim_settings(
        "alter policy p on t using (a = current_setting('request.jwt.claims'::text, true)::json ->> 'sub' "
        "or b = current_setting('request.jwt.claim.role') or c = current_setting('request.headers'))"
    )
    assert "(select auth.jwt()::text)::json" in text
    assert "b = (select auth.jwt() ->> 'role')" in text
    assert "current_setting('request.headers')" in text
    assert names == ("request.headers", "request.jwt.claim.role", "request.jwt.claims")
