-- What ``fluxbase tenant prove`` plants in a tenant's exposed schema, reads back and takes away again (proof/plant.py).
-- name: plant
drop table if exists fluxbase_proof cascade;
-- then
create table fluxbase_proof (id uuid primary key, canary text not null, note text, is_public boolean not null default false);
-- then
create policy fluxbase_proof on fluxbase_proof using (is_public or (select auth.role()) <> 'anon') with check ((select auth.role()) <> 'anon');
-- then
create function fluxbase_proof_rows() returns setof fluxbase_proof language sql stable begin atomic select * from fluxbase_proof; end;
-- then
-- Leaves behind in its session whatever a session can be made to keep, another tenant's name first.
create function fluxbase_proof_leave(other text) returns setof fluxbase_proof language plpgsql volatile as $$
begin
  return query select * from fluxbase_proof;
  perform set_config('app.current_tenant_id', other, false), set_config('row_security', 'off', false),
          set_config('search_path', 'fluxbase', false), set_config('request.headers', other, false), pg_advisory_lock(hashtext(other));
end $$;
-- then
-- Names another tenant in the claims, which only the server may sign.
create function fluxbase_proof_forge(other text) returns setof fluxbase_proof language plpgsql volatile as $$
begin
  perform set_config('app.current_tenant_id', other, true),
          set_config('request.jwt.claims', jsonb_build_object('role', 'authenticated', 'tenant_id', other)::text, true);
  return query select * from fluxbase_proof;
end $$;
-- name: remove
drop table if exists fluxbase_proof cascade;
-- then
drop function if exists fluxbase_proof_leave(text), fluxbase_proof_forge(text);
-- name: settings
select set_config('search_path', $1::text, true), set_config('fluxbase.canary', $2::text, true)
-- name: comment
do $$ begin execute format('comment on table fluxbase_proof is %L', current_setting('fluxbase.canary')); end $$
-- name: rows
insert into {table} (id, canary, is_public) values ($1::text::uuid, $4::text, false), ($2::text::uuid, $4::text, false), ($3::text::uuid, $4::text, true)
on conflict (id) do nothing
-- name: shared_rows
insert into {table} (id, canary, is_public, tenant_id) select id::uuid, $4::text, is_public, $5::text::uuid
  from (values ($1::text, false), ($2::text, false), ($3::text, true)) as planted (id, is_public)
on conflict (id) do nothing
-- name: state
select md5(coalesce(string_agg(t::text, ',' order by t.id), '')) from {table} t
-- name: shared_state
select md5(coalesce(string_agg(t::text, ',' order by t.id), '')) from {table} t where t.tenant_id = $1::text::uuid
-- name: register
select md5(t::text) from (select slug, name, db_name, status, metadata, deleted_at, isolation, hosts from platform.tenants where id = $1::text::uuid) t
-- name: own_line
select id::text from shared_export.tenant
-- name: claim_other
select set_config('app.current_tenant_id', '{other}', false), set_config('request.jwt.claims', '{{"tenant_id":"{other}"}}', false)
-- name: as_role
set role {role}
-- name: all_rows
select canary from fluxbase_proof
-- name: far_side_attacks
select * from platform.tenants;
select * from platform.fdw_logins;
insert into platform.fdw_logins values (current_user, '{other}');
update platform.fdw_logins set tenant_id = '{other}';
set role fluxbase_system;
set role fluxbase_owner;
set role authenticated;
set session authorization fluxbase_owner;
select * from auth.keys;
select * from auth.signing_keys;
select * from auth.sessions;
select * from fluxbase.identity_key;
select umoptions from pg_user_mappings;
select query from pg_stat_activity;
create table shared_export.mine (id int);
create temp table mine (id int);
create view shared_export.more as select 1
-- name: near_side_attacks
select * from shared.tenant;
select umoptions from pg_user_mappings;
select umoptions from pg_user_mapping;
create foreign table mine (id int) server fluxbase_main;
create user mapping for current_user server fluxbase_main;
import foreign schema shared_export from server fluxbase_main into {schema};
create extension dblink;
-- name: client_attacks
select * from auth.keys;
select * from auth.signing_keys;
select * from auth.sessions;
select * from fluxbase.identity_key;
select * from platform.tenants;
select rolpassword from pg_authid;
select query from pg_stat_activity;
select * from pg_stats;
set role fluxbase_system;
set role fluxbase_owner;
set session authorization fluxbase_owner;
create temp table mine (id int);
create table {schema}.mine (id int)
-- name: users
select md5(concat_ws(';',
  (select string_agg(concat_ws('|', id, email, role, encrypted_password, raw_user_meta_data, banned_until, deleted_at, failed_attempts, locked_until), ',' order by id)
     from auth.users where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', id, status, friendly_name, last_step), ',' order by id) from auth.factors where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', id, used_at), ',' order by id) from auth.recovery_codes where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', id, friendly_name, sign_count), ',' order by id) from auth.passkeys where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', id, aal, ended_at), ',' order by id) from auth.sessions where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', name, description, permissions), ',' order by name) from auth.roles where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', user_id, role), ',' order by user_id, role) from auth.role_assignments where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', id, name, metadata), ',' order by id) from auth.organisations where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', organisation_id, user_id, role), ',' order by organisation_id, user_id)
     from auth.memberships where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', team_id, user_id), ',' order by team_id, user_id) from auth.team_members where tenant_id = $1::text::uuid),
  (select string_agg(concat_ws('|', id, name, scopes), ',' order by id) from auth.api_keys where tenant_id = $1::text::uuid)))
-- name: remove_users
delete from auth.users u where u.tenant_id = $1::text::uuid and (u.email ~ '@proof[.](invalid|example)$' or u.is_anonymous and exists (
  select from auth.sessions s where s.tenant_id = u.tenant_id and s.user_id = u.id and s.user_agent = $2::text)) returning u.id
-- name: remove_mails
delete from platform.mails where tenant_id = $1::text::uuid and recipient ~ '@proof[.](invalid|example)$' returning id
-- name: remove_tokens
delete from auth.one_time_tokens where tenant_id = $1::text::uuid and email ~ '@proof[.](invalid|example)$' returning id
-- name: remove_executions
delete from platform.executions where owner like $1::text || ' %' and procedure like 'fluxbase\_proof%' returning id
-- name: remove_named
with orgs as (delete from auth.organisations where tenant_id = $1::text::uuid and name = $2::text),
     keys as (delete from auth.api_keys where tenant_id = $1::text::uuid and name = $2::text)
delete from auth.roles where tenant_id = $1::text::uuid and name in ('fluxbase-proof', $2::text) returning name
-- name: remove_invitations
delete from platform.invitations where email like '%@proof.invalid' returning id
