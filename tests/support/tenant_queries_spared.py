"""For every query that names its tenant: the route that shows when it forgets, or why nobody gets anything by that (``tenant_queries.py``)."""

from __future__ import annotations

NOTICED = {
    "auth.api_key_store:select_key:0": "client_keys.get",
    "auth.api_key_store:select_keys:0": "client_keys.list",
    "auth.rbac_store:delete_role:0": "roles.delete",
    "auth.rbac_store:select_organisation:0": "orgs.get",
    "auth.rbac_store:select_organisations:0": "orgs.list",
    "auth.rbac_store:select_roles:0": "roles.list",
    "auth.rbac_store:unassign_role:0": "roles.unassign",
    "auth.store:select_keys:0": "rest.table",
    "auth.store:select_signing_keys:0": "rest.table",
    "auth.user_store:count_failure:0": "auth.signin.post",
    "auth.user_store:<module>:0": "admin.users.one.get",
}
"""Name of a query → the route on which the proof sees what it lets through."""

_REASONS = {
    "it is found by the hash of a secret that its owner alone has": (
        "auth.api_key_store:select_by_hash:0 auth.factors.store:try_ticket:0 auth.one_time_store:redeem_token:0 "
        "auth.one_time_store:redeem_code:0 auth.passkeys.store:consume_challenge:0 auth.passkeys.store:select_by_credential:0 "
        "auth.providers.store:take_code:0 auth.providers.store:take_flow:0 auth.session_store:rotate:0 auth.session_store:select_used:0"
    ),
    "it also names a key, factor, session or passkey that was looked up in the caller's tenant just before": (
        "auth.api_key_store:delete_key:0 auth.api_key_store:deprecate_key:0 auth.api_key_store:revoke_key:0 "
        "auth.api_key_store:touch_keys:0 auth.api_key_store:update_key:0 auth.api_key_store:update_key:1 "
        "auth.factors.store:accept_step:0 auth.factors.store:confirm_factor:0 auth.factors.store:note_challenge:0 "
        "auth.factors.store:rename_factor:0 auth.factors.store:use_ticket:0 auth.passkeys.store:advance_counter:0"
    ),
    "it also names the caller's own user or session, whose ids are random and were looked up in his tenant": (
        "auth.factors.store:clear_attempts:0 auth.factors.store:confirm_factor:1 auth.factors.store:count_recovery_codes:0 "
        "auth.factors.store:delete_abandoned:0 auth.factors.store:delete_factors:0 auth.factors.store:delete_tickets:0 "
        "auth.factors.store:lower_sessions:0 auth.factors.store:replace_recovery_codes:0 auth.factors.store:select_factor:0 "
        "auth.factors.store:select_factors:0 auth.factors.store:spend_recovery_code:0 auth.factors.store:try_challenge:0 "
        "auth.impersonation_store:end_impersonations:0 auth.impersonation_store:select_current:0 "
        "auth.passkeys.store:delete_passkey:0 auth.passkeys.store:rename_passkey:0 auth.passkeys.store:select_credentials:0 "
        "auth.passkeys.store:select_passkeys:0 auth.platform_store:select_standing:0 auth.platform_store:select_standing:1 "
        "auth.providers.store:delete_identity:0 auth.providers.store:delete_tokens:0 auth.providers.store:select_tokens:0 "
        "auth.providers.store:note_identity:0 auth.rbac_store:count_created:0 auth.rbac_store:forget_user:0 auth.rbac_store:forget_user:1 "
        "auth.session_store:end_sessions:0 auth.session_store:is_fresh:0 auth.session_store:list_sessions:0 "
        "auth.session_store:raise_session:0 auth.session_store:select_current:0 auth.user_store:delete_user:0 "
        "auth.user_store:delete_user:1 auth.user_store:delete_user:2 auth.user_store:move_epoch:0 "
        "auth.user_store:replace_hash:0 auth.user_store:update_user:0 auth.api_key_store:count_keys:0 auth.api_key_store:delete_keys_of:0 "
        "auth.one_time_store:drop_unproven:1 auth.session_store:begin_session:0"
    ),
    "it also names an organisation that the caller was let into before, found in his tenant": (
        "auth.rbac_store:delete_member:0 auth.rbac_store:delete_organisation:0 auth.rbac_store:delete_team:0 "
        "auth.rbac_store:delete_team_member:0 auth.rbac_store:insert_team_member:0 auth.rbac_store:select_members:0 "
        "auth.rbac_store:select_team:0 auth.rbac_store:select_teams:0 auth.rbac_store:update_organisation:0"
    ),
    "what it finds is looked up again, by its id in the caller's tenant, before anything is done for it": "auth.user_store:select_password:0",
    "it counts accounts, which no canary is in; whose they are the other query of the function decides": "auth.user_store:list_users:0",
    "it tells names of roles, of a user whose random id one must know": "auth.rbac_store:select_assignments:0",
    "a foreign key (tenant_id, role) refuses what another tenant's role would be used for": "auth.rbac_store:select_role:0",
    "the proof has no platform administrator, so that these tables are empty: tests/attack/test_platform.py has": (
        "auth.impersonation_store:select_history:0 auth.platform_store:count_admins:0 auth.platform_store:select_assigned:0 "
        "auth.platform_store:unassign:0"
    ),
    "nobody reads anything: at worst a mail to the same address in another tenant waits, or is void": (
        "auth.one_time_store:drop_unproven:0 auth.one_time_store:forget_tokens:0 auth.one_time_store:insert_token:0 "
        "auth.one_time_store:is_other_half_confirmed:0 auth.one_time_store:note_mail:0 auth.one_time_store:seconds_to_wait:0 "
        "auth.one_time_store:state_of:0"
    ),
    "no identity provider is configured in the proof: tests/attack/test_providers.py has two tenants with one": (
        "auth.providers.store:select_owner:0 auth.providers.store:select_subject:0"
    ),
    "an answer is sealed for its tenant: at worst a request with the same key from the same address is refused": (
        "limits.idempotency_store:<module>:0 limits.idempotency_store:complete:0 limits.idempotency_store:release:0"
    ),
    "the command line asks it for whoever may read every tenant": (
        "auth.rbac_store:select_organisation_named:0 mail.store:select_mail:0 mail.store:select_mails:0"
    ),
    "the server's own round in each tenant, which answers nobody": (
        "auth.session_store:remove_expired:0 mail.store:claim_due:0 mail.store:mark_failed:0 mail.store:mark_sent:0 mail.store:purge:0 "
        "mail.store:purge:1 mail.store:seconds_until_due:0"
    ),
}
_REASONS |= {
    "sessions of all users, which no canary is in; each is ended by its random id: tests/api/test_admin_accounts.py": (
        "auth.session_store:list_all_sessions:0 auth.session_store:select_owner:0"
    ),
    "settings, which no canary is in: tests/attack/test_tenant_settings.py has two tenants with their own": (
        "tenancy.settings_store:delete_setting:0 tenancy.settings_store:select_settings:0"
    ),
}
SPARED = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Name of a query → why nobody gets anything by it."""
