-- Mails wait here: written in the transaction that caused them, sent by whichever worker locks them first (threat B21).
create table platform.mails (
  id uuid primary key,
  tenant_id uuid not null,
  status text not null check (status in ('queued', 'kept', 'decoy', 'sent', 'failed')),
  template text not null,
  recipient text not null,
  sealed bytea,           -- the template's values, links and codes among them: sealed by the server, gone when the mail is sent
  attempts integer not null default 0,
  failure text,
  created_at timestamptz not null default now(),
  due_at timestamptz not null default now(),
  expires_at timestamptz not null,
  sent_at timestamptz
);
create index mails_due on platform.mails (tenant_id, due_at) where status = 'queued';
create index mails_listed on platform.mails (tenant_id, created_at);
revoke all on platform.mails from public;
grant select, insert, update, delete on platform.mails to fluxbase_system;
