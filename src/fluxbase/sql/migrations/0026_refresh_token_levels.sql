-- A refresh token is worth the level its session had when it was given out, never one that was shown later (decision 0074).
alter table auth.refresh_tokens add column aal text not null default 'aal1' check (aal in ('aal1', 'aal2'));
update auth.refresh_tokens t set aal = s.aal from auth.sessions s where s.id = t.session_id and s.aal <> 'aal1';
alter table auth.refresh_tokens alter column aal drop default;
create index refresh_tokens_parent on auth.refresh_tokens (parent_hash) where parent_hash is not null;
