-- Identity in SQL that cannot be forged (DESIGN invariant 3, threat F55).
-- The server signs  database \n role \n backend pid \n expiry in ms \n claims  with HMAC-SHA-256 (RFC 2104).
-- The key is kept as its two padded blocks, so that a check costs two sha256() calls.
create table fluxbase.identity_key (
  is_only boolean primary key default true check (is_only),
  key bytea not null,
  inner_block bytea not null,
  outer_block bytea not null,
  bound_to text not null  -- system identifier and database oid: a restored database gets a new key
);
revoke all on fluxbase.identity_key from public;

-- NULL when nothing is set; the claims when they verify; 42501 when something is set that does not. On a client's own
-- connection (a login fb_…) an identity is always set: nothing set means that its SQL took it away, and a policy may test for NULL.
-- plpgsql keeps its plan for the session: cheaper than an SQL body, which is planned again in each query.
create function fluxbase.verified_claims() returns text
language plpgsql stable parallel restricted security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  proof text := coalesce(current_setting('fluxbase.identity', true), '');
  claims text := coalesce(current_setting('request.jwt.claims', true), '');
  expires text;
  pads fluxbase.identity_key%rowtype;
begin
  if proof = '' and claims = '' and session_user not like 'fb\_%' then
    return null;
  end if;
  expires := split_part(proof, '.', 1);
  select * into pads from fluxbase.identity_key;
  if expires !~ '^[0-9]{1,15}$'
     or to_timestamp(expires::numeric / 1000.0) <= transaction_timestamp()
     or to_timestamp(expires::numeric / 1000.0) > transaction_timestamp() + interval '10 seconds'
     or split_part(proof, '.', 2) is distinct from encode(sha256(pads.outer_block || sha256(pads.inner_block || convert_to(
          current_database() || E'\n' || current_setting('role') || E'\n' || pg_backend_pid() || E'\n' || expires || E'\n' || claims,
          'UTF8'))), 'hex')
  then
    raise exception 'the identity of this request does not verify' using errcode = '42501',
      hint = 'request.jwt.claims was set by SQL; only the server may say who is asking.';
  end if;
  return claims;
end $$;

create function auth.jwt() returns jsonb
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return fluxbase.verified_claims()::jsonb; end $$;

create function auth.uid() returns uuid
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$
declare subject text := fluxbase.verified_claims()::jsonb ->> 'sub';
begin
  return case when subject ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then subject::uuid end;
end $$;

create function auth.role() returns text
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return coalesce(fluxbase.verified_claims()::jsonb ->> 'role', 'anon'); end $$;

create function auth.email() returns text
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return fluxbase.verified_claims()::jsonb ->> 'email'; end $$;

-- The tenant is the database's own, never a claim: a token cannot name another.
create function auth.tenant_id() returns uuid
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$ begin return (select id from platform.tenants where is_default); end $$;

create function auth.current_user_id() returns uuid
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return auth.uid(); end $$;

create function auth.current_user_role() returns text
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return auth.role(); end $$;

create function auth.is_authenticated() returns boolean
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return auth.uid() is not null; end $$;

revoke all on all functions in schema auth, fluxbase from public;
grant execute on function fluxbase.verified_claims(), auth.jwt(), auth.uid(), auth.role(), auth.email(), auth.tenant_id(),
  auth.current_user_id(), auth.current_user_role(), auth.is_authenticated()
  to anon, authenticated, service_role, tenant_service, fluxbase_system, fluxbase_owner;
