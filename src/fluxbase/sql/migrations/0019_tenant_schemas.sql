-- A third strength: a schema of one's own in the database that tenants share (docs/decisions/0032).
alter table platform.tenants drop constraint tenants_isolation_check;
alter table platform.tenants add constraint tenants_isolation_check check (isolation in ('database', 'schema', 'row'));
