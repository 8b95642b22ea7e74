-- The house: one schema an area. Nothing here is exposed over HTTP, whatever the configuration says.
create schema if not exists fluxbase;
create schema if not exists auth;
create schema if not exists storage;
create schema if not exists platform;
create schema if not exists audit;
create schema if not exists realtime;
create schema if not exists extensions;

revoke all on schema fluxbase, auth, storage, platform, audit, realtime, extensions from public;
revoke create on schema public from public;

-- Identity functions and extension functions are called by policies and applications: USAGE, nothing else.
grant usage on schema fluxbase, auth, extensions to anon, authenticated, service_role, tenant_service;
grant usage on schema public to anon, authenticated, service_role, tenant_service;
grant usage on schema fluxbase, auth, platform, audit, public, extensions to fluxbase_system, fluxbase_owner;

-- What is created here later is closed to everybody until a migration grants it.
alter default privileges in schema fluxbase, auth, storage, platform, audit, realtime revoke execute on functions from public;
alter default privileges revoke execute on functions from public;
