"""Planning for a role: what the role may not use does not exist, and the SQL is as lean as it can be."""

from __future__ import annotations

import pytest

from fluxbase.data.compile import compile_read
from fluxbase.data.grammar import decode_pairs, parse_query
from fluxbase.data.media import JSON
from fluxbase.data.plan import plan_read
from fluxbase.kernel.errors import Ambiguous, FluxbaseError
from tests.unit.data.schema import BOUNDS, SNAPSHOT


def refusal(query: str, relation: str = "films") -> tuple[str | None, str]:
    """Code and message of a request that is refused."""
    with pytest.raises(FluxbaseError) as caught:
        sql(query, relation)
    return caught.value.pgrst or caught.value.sqlstate, caught.value.message


def sql(query: str, relation: str = "films") -> str:
    """The rows' SELECT of a request."""
    node = plan_read(SNAPSHOT, SNAPSHOT.relations["public", relation], parse_query(decode_pairs(query)), "anon", BOUNDS)
    text = compile_read(node, JSON, count=None).sql
    return text.split(" from (", 1)[1].removesuffix(") _t")


HIDDEN = {
    "select=%s": "columns",
    "%s=eq.1": "filters",
    "order=%s": "orders",
    "or=(%s.eq.1)": "trees",
    "select=x:%s.max()": "aggregates",
    "select=%s->a": "paths",
}


@pytest.mark.parametrize("form", HIDDEN)
@pytest.mark.parametrize("name", ["secret", "private"])
def test_hidden_column_is_an_absent_column(form: str, name: str) -> None:
    """A column without SELECT, and a function without EXECUTE, are answered like names that do not exist (threat E41)."""
    code, message = refusal(form % name)
    assert (code, message.replace(name, "nothing")) == refusal(form % "nothing")


def test_hidden_relation_is_an_absent_relation() -> None:
    """An embed of a table without privileges is answered like one of no table; the hint does not name it."""
    with pytest.raises(FluxbaseError) as hidden:
        sql("select=hidden(id)")
    with pytest.raises(FluxbaseError) as absent:
        sql("select=hiddem(id)")
    assert hidden.value.message.replace("hidden", "hiddem") == absent.value.message
    assert hidden.value.hint == absent.value.hint is None


def test_hidden_columns_of_an_embed_cannot_order_or_filter() -> None:
    """Neither a path nor a related order reaches a column the role may not read."""
    assert refusal("select=films(id)&films.secret=eq.1", "directors")[0] == "42703"
    assert refusal("select=films(id)&order=films(secret)", "posters")[0] == "42703"


def test_table_is_read_without_subquery() -> None:
    """A plain page is one SELECT of the table."""
    assert sql("select=id,title&id=eq.1&order=id") == (
        'select t0."id", t0."title" from "public"."films" t0 where t0."id" = $1 order by t0."id" limit $2::bigint'
    )


def test_to_one_embed_is_a_join_the_planner_can_flatten() -> None:
    """No LIMIT and no aggregate stands between the tables, so PostgreSQL may hash-join them."""
    assert sql("select=id,directors(name)") == (
        'select t0."id", row_to_json(t1_j) as "directors" from "public"."films" t0 left join lateral '
        '(select t1."name" from "public"."directors" t1 where t1."id" = t0."director_id") t1_j on true limit $1::bigint'
    )


def test_count_does_not_build_embeds() -> None:
    """The total counts rows; an inner embed is an EXISTS."""
    node = plan_read(
        SNAPSHOT, SNAPSHOT.relations["public", "films"], parse_query(decode_pairs("select=id,reviews!inner(id),actors(id)")), "anon", BOUNDS
    )
    text = compile_read(node, JSON, count="exact").sql
    assert (
        '(select count(*) from "public"."films" t0 where exists (select from "public"."reviews" t1 where t1."film_id" = t0."id"))' in text
    )


def test_ambiguity_names_only_usable_relationships() -> None:
    """Several relationships are told with cardinality, embedding and relationship; what the role may not use is not among them."""
    with pytest.raises(FluxbaseError) as caught:
        sql("select=films_director_id_fke(id)")
    assert not isinstance(caught.value, Ambiguous)
    assert caught.value.hint == "Perhaps you meant 'directors' instead of 'films_director_id_fke'."
