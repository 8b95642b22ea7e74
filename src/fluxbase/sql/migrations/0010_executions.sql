-- Functions called in the background (contract-native 1.4). A row belongs to whoever asked: the signed identity of the
-- transaction that made it. Client roles have no right on the table; these functions are the only way to it, and each of
-- them looks at the rows of its caller alone, so another's execution and none at all are the same (threat B30).
create table platform.executions (
  id uuid primary key,
  owner text not null,
  namespace text not null,
  procedure text not null,
  status text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed', 'cancelled', 'timeout')),
  result json,
  rows_returned bigint,
  error jsonb,
  logs jsonb not null default '[]',
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  completed_at timestamptz,
  ends_at timestamptz not null
);
create index executions_owner on platform.executions (owner, created_at);
revoke all on platform.executions from public;
-- What the proof of tenants started is taken away again (proof/removal.py); results and logs the system cannot read.
grant select (id, owner, procedure), delete on platform.executions to fluxbase_system;

-- A user by id; keys and callers without a credential by role and key; each within its tenant, where one database has several. Raises 42501 when the identity does not verify.
create function fluxbase.caller() returns text
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare claims jsonb := fluxbase.verified_claims()::jsonb;
begin
  return coalesce(auth.tenant_id()::text, '') || ' '
    || coalesce('user:' || (claims ->> 'sub'), coalesce(claims ->> 'role', 'anon') || ':' || coalesce(claims ->> 'jti', ''));
end $$;

create function fluxbase.execution_line(line integer, level text, message text) returns jsonb
language sql volatile set search_path = pg_catalog, pg_temp
as $$ select jsonb_build_object('line_number', line, 'level', level, 'message', message, 'timestamp', clock_timestamp()) $$;

-- At most 20 of one caller are under way, and what is a day old goes.
create function fluxbase.begin_execution(execution uuid, namespace text, procedure text, seconds double precision) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare who text := fluxbase.caller();
begin
  perform pg_advisory_xact_lock(hashtextextended('execution ' || who, 0));
  delete from platform.executions e where e.owner = who and e.created_at < clock_timestamp() - interval '1 day';
  if (select count(*) from platform.executions e
       where e.owner = who and e.status in ('pending', 'running') and e.ends_at > clock_timestamp()) >= 20 then
    raise exception 'Too many functions of yours are running in the background.' using errcode = 'PT429',
      hint = 'Wait until one of them has ended.';
  end if;
  insert into platform.executions (id, owner, namespace, procedure, ends_at, logs)
  values (execution, who, begin_execution.namespace, begin_execution.procedure, clock_timestamp() + make_interval(secs => seconds),
          jsonb_build_array(fluxbase.execution_line(1, 'info', 'Execution queued')));
  return 'pending';
end $$;

create function fluxbase.start_execution(execution uuid) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update platform.executions e
     set status = 'running', started_at = clock_timestamp(),
         logs = e.logs || fluxbase.execution_line(jsonb_array_length(e.logs) + 1, 'info', 'Execution started')
   where e.id = execution and e.owner = fluxbase.caller() and e.status = 'pending';
  return case when found then 'running' end;
end $$;

-- Success is recorded in the transaction of the call itself, so what is "completed" was committed and nothing else is.
create function fluxbase.end_execution(execution uuid, outcome text, answer text, answer_rows bigint, failure jsonb) returns text
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update platform.executions e
     set status = outcome, result = nullif(answer, '')::json, rows_returned = answer_rows, error = failure, completed_at = clock_timestamp(),
         logs = e.logs || fluxbase.execution_line(jsonb_array_length(e.logs) + 1, case when outcome = 'completed' then 'info' else 'error' end,
                'Execution ' || outcome || coalesce(': ' || (failure ->> 'error'), ''))
   where e.id = execution and e.owner = fluxbase.caller() and e.status in ('pending', 'running');
  return case when found then outcome end;
end $$;

-- The caller's own execution as JSON; null for another's and for none. One that outlived its time without an end is a timeout:
-- its process went away.
create function fluxbase.read_execution(execution uuid) returns json
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select json_strip_nulls(json_build_object(
        'execution_id', e.id, 'id', e.id, 'namespace', e.namespace, 'procedure_name', e.procedure,
        'status', case when e.status in ('pending', 'running') and e.ends_at < clock_timestamp() then 'timeout' else e.status end,
        'rows_returned', e.rows_returned,
        'duration_ms', (extract(epoch from e.completed_at - e.started_at) * 1000)::bigint,
        'error', e.error ->> 'error', 'error_code', e.error ->> 'code',
        'created_at', e.created_at, 'started_at', e.started_at, 'completed_at', e.completed_at))::jsonb
        || jsonb_build_object('result', e.result, 'logs', e.logs)
      from platform.executions e where e.id = execution and e.owner = fluxbase.caller());
end $$;

revoke all on function fluxbase.caller(), fluxbase.execution_line(integer, text, text),
  fluxbase.begin_execution(uuid, text, text, double precision), fluxbase.start_execution(uuid),
  fluxbase.end_execution(uuid, text, text, bigint, jsonb), fluxbase.read_execution(uuid) from public;
grant execute on function fluxbase.begin_execution(uuid, text, text, double precision), fluxbase.start_execution(uuid),
  fluxbase.end_execution(uuid, text, text, bigint, jsonb), fluxbase.read_execution(uuid)
  to anon, authenticated, service_role, tenant_service;
