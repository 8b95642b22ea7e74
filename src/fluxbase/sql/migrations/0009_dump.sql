-- pg_dump reads this one for every table, and 0006 took it from everybody. On a managed PostgreSQL it was not taken, and this only warns.
grant select on pg_catalog.pg_statistic_ext to fluxbase_owner;
