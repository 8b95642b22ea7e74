-- What is mailed and works once: links, six-digit codes, and the codes of PKCE flows that began with a mail (threats B20, B22).
-- Only hashes stand here; a code is short, so its hash is keyed. A row without a user stands for an address nobody has: asking
-- for a mail to it leaves the same trace (threat B21), and payload 'create' makes the account when the address is proven.
create table auth.one_time_tokens (
  tenant_id uuid not null,
  id uuid primary key default gen_random_uuid(),
  purpose text not null check (purpose in
    ('signup', 'invite', 'magiclink', 'recovery', 'email_change_current', 'email_change_new', 'reauthentication', 'pkce_code')),
  token_hash bytea not null unique,
  code_hash bytea,
  user_id uuid,
  email text not null,
  epoch integer,               -- of the user when it was made: a new password, a ban, a deletion end it
  payload jsonb not null default '{}',
  redirect_to text,
  code_challenge text,
  attempts integer not null default 0,
  max_attempts integer not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  used_at timestamptz,
  foreign key (tenant_id, user_id) references auth.users (tenant_id, id) on delete cascade
);
create index one_time_tokens_email on auth.one_time_tokens (tenant_id, email, purpose);
create index one_time_tokens_user on auth.one_time_tokens (tenant_id, user_id);
create index one_time_tokens_expiry on auth.one_time_tokens (expires_at);
revoke all on auth.one_time_tokens from public;
grant select, insert, update, delete on auth.one_time_tokens to fluxbase_system;
