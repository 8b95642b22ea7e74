-- title: columns that hold credentials are not open to clients
-- why: A policy decides about rows; whoever may read a row reads every column that is granted, a password hash or a token too.
-- how: Revokes the column from the client roles and keeps their right to every other column; keep the grant where the name misleads.
-- fix: asks
-- A telling name is enough; a vague one needs statistics of a secret: text, nearly unique, at least 16 bytes wide.
with readable as (
  select c.oid, n.nspname, c.relname, a.attnum, a.attname, role.name as role
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_catalog.pg_type t on t.oid = a.atttypid
    join unnest(pg_catalog.current_setting('doctor.client_roles')::text[]) as role (name) on pg_catalog.to_regrole(pg_catalog.quote_ident(role.name)) is not null
    left join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
   where c.relkind in ('r', 'p') and n.nspname = any (pg_catalog.current_setting('doctor.schemas')::text[])
     and t.typname in ('text', 'varchar', 'bpchar', 'bytea', 'json', 'jsonb', 'citext')
     and pg_catalog.has_column_privilege(role.name, c.oid, a.attnum, 'select')
     and (a.attname ~* '(^|_)(passw(or)?d|passphrase|passcode|secret|api_?key|private_?key|access_?key|encryption_?key|credentials?|(access|refresh|auth|bearer|reset|session|api|id|recovery|confirmation)_?token|otp|totp|pin|cvv|cvc|ssn|card_?number)s?(_?(hash|digest|hashed|encrypted|enc|salt|seed))?$'
          or a.attname ~* '(^|_)(token|key|hash|digest|salt|signature|nonce|code)s?$' and s.n_distinct < -0.9 and s.avg_width >= 16)
     and (not c.relrowsecurity or exists (
            select from pg_catalog.pg_policy p
             where p.polrelid = c.oid and p.polcmd in ('r', '*') and p.polpermissive
               and (0 = any (p.polroles) or pg_catalog.to_regrole(pg_catalog.quote_ident(role.name))::oid = any (p.polroles))))
), secret as (
  select oid, nspname, relname, role, array_agg(attname::text order by attnum) as names from readable group by oid, nspname, relname, role
)
select case when s.role = 'anon' then 'red' else 'warn' end, pg_catalog.format('%I.%I to %I', s.nspname, s.relname, s.role),
       pg_catalog.format('%s may read %s', s.role, array_to_string(s.names, ', ')),
       pg_catalog.format('revoke select on %I.%I from %I;', s.nspname, s.relname, s.role)
       || coalesce(pg_catalog.format(' grant select (%s) on %I.%I to %s;', (
            select string_agg(pg_catalog.quote_ident(a.attname), ', ' order by a.attnum) from pg_catalog.pg_attribute a
             where a.attrelid = s.oid and a.attnum > 0 and not a.attisdropped and a.attname <> all (s.names)
               and pg_catalog.has_column_privilege(s.role, s.oid, a.attnum, 'select')), s.nspname, s.relname, pg_catalog.quote_ident(s.role)), '')
from secret s
order by 2;
