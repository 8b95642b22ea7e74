-- Roles, organisations and teams of a tenant (docs/rbac.md). What a user holds travels in the signed claims of his requests, as
-- member "grants", under an epoch: whoever changes what he holds denies the epoch before in the same transaction, so that the next
-- request with outdated claims is refused by fluxbase.admit (FB004) and asked again with new ones (threat B20).
create table auth.roles (
  tenant_id uuid not null,
  name text not null check (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  description text not null default '',
  permissions text[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, name),
  constraint roles_permissions_check
    check (array_to_string(permissions, ' ', '?') ~ '^(([a-z][a-z0-9_-]*|\*):([a-z][a-z0-9_-]*|\*):([a-z][a-z0-9_-]*|\*)( (?=[a-z*])|$))*$')
);

-- Roles that a user has in the whole tenant.
create table auth.role_assignments (
  tenant_id uuid not null,
  user_id uuid not null,
  role text not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, user_id, role),
  foreign key (tenant_id, role) references auth.roles (tenant_id, name) on delete cascade
);
create index role_assignments_role on auth.role_assignments (tenant_id, role);

create table auth.organisations (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  slug text not null check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text not null,
  metadata jsonb not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, slug)
);

create table auth.memberships (
  tenant_id uuid not null,
  organisation_id uuid not null,
  user_id uuid not null,
  role text,  -- holds in this organisation; null: a member and no more
  created_at timestamptz not null default now(),
  primary key (tenant_id, organisation_id, user_id),
  foreign key (tenant_id, organisation_id) references auth.organisations (tenant_id, id) on delete cascade,
  foreign key (tenant_id, role) references auth.roles (tenant_id, name) on delete set null (role)
);
create index memberships_user on auth.memberships (tenant_id, user_id);
create index memberships_role on auth.memberships (tenant_id, role);

create table auth.teams (
  tenant_id uuid not null,
  id uuid not null default gen_random_uuid(),
  organisation_id uuid not null,
  name text not null,
  role text,  -- what each member of the team has in its organisation
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, organisation_id, name),
  unique (tenant_id, id, organisation_id),
  foreign key (tenant_id, organisation_id) references auth.organisations (tenant_id, id) on delete cascade,
  foreign key (tenant_id, role) references auth.roles (tenant_id, name) on delete set null (role)
);
create index teams_role on auth.teams (tenant_id, role);

-- A member of a team is a member of its organisation: whoever leaves it leaves its teams.
create table auth.team_members (
  tenant_id uuid not null,
  team_id uuid not null,
  organisation_id uuid not null,
  user_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, team_id, user_id),
  foreign key (tenant_id, team_id, organisation_id) references auth.teams (tenant_id, id, organisation_id) on delete cascade,
  foreign key (tenant_id, organisation_id, user_id) references auth.memberships (tenant_id, organisation_id, user_id) on delete cascade
);
create index team_members_membership on auth.team_members (tenant_id, organisation_id, user_id);

-- How often what a user holds has changed. No row is epoch 0: most users never hold anything, and cost nothing.
create table auth.claims_epochs (
  tenant_id uuid not null,
  user_id uuid not null,
  epoch bigint not null,
  primary key (tenant_id, user_id)
);

create function fluxbase.move_claims() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  item jsonb := coalesce(to_jsonb(new), to_jsonb(old));
  tenant uuid := (item ->> 'tenant_id')::uuid;
  held text := case when tg_table_name = 'roles' then item ->> 'name' end;
  team uuid := case when tg_table_name = 'teams' then (item ->> 'id')::uuid end;
  whose uuid;
  outdated bigint;
begin
  -- In order of ids, so that two changes at once cannot wait for each other.
  for whose in
    select (item ->> 'user_id')::uuid where item ? 'user_id'
    union select a.user_id from auth.role_assignments a where a.tenant_id = tenant and a.role = held
    union select m.user_id from auth.memberships m where m.tenant_id = tenant and m.role = held
    union select t.user_id from auth.team_members t where t.tenant_id = tenant and t.team_id = team
    union select t.user_id from auth.team_members t join auth.teams o on o.tenant_id = t.tenant_id and o.id = t.team_id
           where t.tenant_id = tenant and o.role = held
    order by 1
  loop
    insert into auth.claims_epochs as e values (tenant, whose, 1)
      on conflict (tenant_id, user_id) do update set epoch = e.epoch + 1 returning e.epoch - 1 into outdated;
    -- Epoch 0 is what a server assumes of a user it knows nothing of, so it stays denied; the others are held for an hour at most.
    insert into auth.denylist (key, reason, expires_at)
    values (format('claims:%s/%s:%s', tenant, whose, outdated), 'roles changed', case when outdated > 0 then now() + interval '1 day' end)
      on conflict (key) do nothing;
  end loop;
  return null;
end $$;
create trigger move_claims after insert or update or delete on auth.role_assignments for each row execute function fluxbase.move_claims();
create trigger move_claims after insert or update or delete on auth.memberships for each row execute function fluxbase.move_claims();
create trigger move_claims after insert or update or delete on auth.team_members for each row execute function fluxbase.move_claims();
create trigger move_claims after update on auth.teams for each row execute function fluxbase.move_claims();
create trigger move_claims after update on auth.roles for each row execute function fluxbase.move_claims();

-- What a user holds, with its epoch, read under one snapshot. Never called by clients.
create function fluxbase.grants_of(tenant uuid, whose uuid) returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
  with
  wide as (
    select r.name, r.permissions from auth.role_assignments a join auth.roles r on r.tenant_id = a.tenant_id and r.name = a.role
     where a.tenant_id = tenant and a.user_id = whose
  ),
  inside as (
    select m.organisation_id, m.role from auth.memberships m where m.tenant_id = tenant and m.user_id = whose
    union
    select t.organisation_id, o.role from auth.team_members t join auth.teams o on o.tenant_id = t.tenant_id and o.id = t.team_id
     where t.tenant_id = tenant and t.user_id = whose
  ),
  organisations as (
    select i.organisation_id, coalesce(jsonb_agg(distinct r.name) filter (where r.name is not null), '[]') as roles,
           coalesce(jsonb_agg(distinct p) filter (where p is not null), '[]') as permissions
      from inside i left join auth.roles r on r.tenant_id = tenant and r.name = i.role left join unnest(r.permissions) p on true
     group by i.organisation_id
  )
  select jsonb_build_object(
    'epoch', coalesce((select e.epoch from auth.claims_epochs e where e.tenant_id = tenant and e.user_id = whose), 0),
    'roles', (select coalesce(jsonb_agg(name order by name), '[]') from wide),
    'permissions', (select coalesce(jsonb_agg(distinct p), '[]') from wide, unnest(permissions) p),
    'orgs', (select coalesce(jsonb_object_agg(organisation_id, jsonb_build_object('roles', roles, 'permissions', permissions)), '{}') from organisations))
$$;

-- The caller's grants from the signed claims; a user of very many organisations has too many for them, and is looked up.
create function auth.grants() returns jsonb
language plpgsql stable parallel restricted security definer set search_path = pg_catalog, pg_temp
as $$
declare found jsonb := fluxbase.verified_claims()::jsonb -> 'grants';
begin
  if (found ->> 'is_partial')::boolean then
    return fluxbase.grants_of(auth.tenant_id(), auth.uid());
  end if;
  return coalesce(found, '{}');
end $$;

create function auth.has_role(role text) returns boolean
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return coalesce(auth.grants() -> 'roles' ? role, false) or auth.role() = role; end $$;

create function auth.has_permission(permission text) returns boolean
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from jsonb_array_elements_text(auth.grants() -> 'permissions') held
                  where held = permission or (held like '%*%' and permission ~ ('^' || replace(held, '*', '[a-z0-9_-]+') || '$')));
end $$;

-- Held in the whole tenant or in this organisation.
create function auth.has_permission(permission text, organisation uuid) returns boolean
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$
declare grants jsonb := auth.grants();
begin
  return exists (select from jsonb_array_elements_text(coalesce(grants -> 'permissions', '[]') ||
                                                       coalesce(grants #> array['orgs', organisation::text, 'permissions'], '[]')) held
                  where held = permission or (held like '%*%' and permission ~ ('^' || replace(held, '*', '[a-z0-9_-]+') || '$')));
end $$;

-- The organisations the caller is a member of:  organisation_id = any ((select auth.org_ids())::uuid[])
create function auth.org_ids() returns uuid[]
language plpgsql stable parallel restricted set search_path = pg_catalog, pg_temp
as $$ begin return array(select jsonb_object_keys(auth.grants() -> 'orgs')::uuid); end $$;

-- Revoked comes before frozen, both before what a server can mend by itself: a plan or claims that are outdated.
create or replace function fluxbase.admit(deny_keys text[], expected_schema_epoch bigint) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  now_at fluxbase.epoch%rowtype;
  denied text;
begin
  select d.key into denied from auth.denylist d where d.key = any (deny_keys)
   order by d.key like 'claims:%', d.key like 'frozen:%' limit 1;
  select * into now_at from fluxbase.epoch;
  if denied is not null and denied not like 'frozen:%' and denied not like 'claims:%' then
    raise exception 'revoked' using errcode = 'FB001';
  end if;
  if now_at.is_frozen or denied like 'frozen:%' then
    raise exception 'frozen' using errcode = 'FB003';
  end if;
  if denied is not null then
    raise exception 'stale claims' using errcode = 'FB004';
  end if;
  if expected_schema_epoch >= 0 and expected_schema_epoch <> now_at.schema_epoch then
    raise exception 'stale plan' using errcode = 'FB002';
  end if;
  return now_at.schema_epoch || ':' || now_at.key_epoch || ':' || now_at.freeze_epoch;
end $$;

revoke all on auth.roles, auth.role_assignments, auth.organisations, auth.memberships, auth.teams, auth.team_members, auth.claims_epochs from public;
revoke all on function fluxbase.move_claims(), fluxbase.grants_of(uuid, uuid), auth.grants(), auth.has_role(text), auth.has_permission(text),
  auth.has_permission(text, uuid), auth.org_ids() from public;
grant select, insert, update, delete on auth.roles, auth.role_assignments, auth.organisations, auth.memberships, auth.teams, auth.team_members
  to fluxbase_system, fluxbase_owner;
grant execute on function fluxbase.grants_of(uuid, uuid) to fluxbase_system;
grant execute on function auth.grants(), auth.has_role(text), auth.has_permission(text), auth.has_permission(text, uuid), auth.org_ids()
  to anon, authenticated, service_role, tenant_service, fluxbase_system, fluxbase_owner;
