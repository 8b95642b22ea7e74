"""The cascade of a tenant's settings: which source wins, and what is refused, with the key and never the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxbase.config import Config, ConfigError, load_config
from fluxbase.config.tenants import DECIDERS, Decider, may_decide, tenant_config
from fluxbase.kernel.secret import Secret

SECRET = "Zr7kQm2xVb9tLp4sWd6fHg1jNc8yRb3v"


def loaded(tmp_path: Path, *, base: str = "", acme: str | None = None, **env: str) -> Config:
    """A configuration of these files and variables."""
    (tmp_path / "fluxbase.yaml").write_text(base)
    if acme is not None:
        (tmp_path / "tenants").mkdir(exist_ok=True)
        (tmp_path / "tenants" / "acme.yaml").write_text(acme)
    return load_config(tmp_path / "fluxbase.yaml", {"FLUXBASE_TENANTS_CONFIG_DIR": str(tmp_path / "tenants"), **env})


def test_each_source_is_stronger_than_the_one_before(tmp_path: Path) -> None:
    """Default < file < tenant's file < variable < tenant's variable < database; every origin is named; other tenants see nothing of it."""
    key, base, acme = "auth.password_min_length", "auth: {password_min_length: 13}", "auth: {password_min_length: 14}"
    assert tenant_config(loaded(tmp_path), "acme").auth.password_min_length == 12
    assert tenant_config(loaded(tmp_path, base=base), "acme").auth.password_min_length == 13
    by_file = loaded(tmp_path, base=base, acme=acme)
    assert (tenant_config(by_file, "acme").auth.password_min_length, tenant_config(by_file, "beta").auth.password_min_length) == (14, 13)
    by_variable = loaded(tmp_path, base=base, acme=acme, FLUXBASE_AUTH_PASSWORD_MIN_LENGTH="15")
    assert tenant_config(by_variable, "acme").auth.password_min_length == 15
    variable = "FLUXBASE_TENANTS__ACME__AUTH__PASSWORD_MIN_LENGTH"
    by_own = loaded(tmp_path, base=base, acme=acme, FLUXBASE_AUTH_PASSWORD_MIN_LENGTH="15", **{variable: "16"})
    own = tenant_config(by_own, "acme")
    assert (own.auth.password_min_length, own.origins[key]) == (16, variable)
    stored = tenant_config(by_own, "acme", {key: 17})
    assert (stored.auth.password_min_length, stored.origins[key]) == (17, "database")
    assert by_own.auth.password_min_length == 15


def test_a_tenants_file_takes_variables_and_mounted_secrets(tmp_path: Path) -> None:
    """``${VAR}``, ``<key>_file`` and ``…_FILE``; hyphens of a slug are underscores in a variable's name."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    config = loaded(
        tmp_path,
        acme=f"mail: {{app_name: '${{NAME}}'}}\nauth: {{jwt_secret_file: {tmp_path}/secret}}",
        NAME="Acme",
        FLUXBASE_TENANTS__ACME_EU__AUTH__JWT_SECRET_FILE=str(tmp_path / "secret"),
    )
    acme, other = tenant_config(config, "acme"), tenant_config(config, "acme-eu")
    assert (acme.mail.app_name, acme.auth.jwt_secret, other.auth.jwt_secret) == ("Acme", Secret(SECRET), Secret(SECRET))


def test_the_instances_secret_is_the_default_tenants_alone(tmp_path: Path) -> None:
    """Inherited it would let a token that names no tenant speak for all of them."""
    config = loaded(tmp_path, FLUXBASE_AUTH_JWT_SECRET=SECRET)
    assert tenant_config(config, "default").auth.jwt_secret == Secret(SECRET)
    assert tenant_config(config, "acme").auth.jwt_secret is None


@pytest.mark.parametrize(
    ("acme", "env", "named"),
    [
        ("auth: {sign_up: hidden-value}", {}, "auth.sign_up"),
        ("server: {port: 6543}", {}, "server.port"),
        ("auth: {hash_workers: 6543}", {}, "auth.hash_workers"),
        ("auth: {password_min_length: hidden-value}", {}, "auth.password_min_length"),
        ("auth: {access_token_seconds: 654300}", {}, "auth.access_token_seconds"),
        ("auth: {jwt_secret: hidden-value}", {}, "auth.jwt_secret"),
        ("auth: {jwt_secret: a, jwt_secret_file: hidden-value}", {}, "auth.jwt_secret_file"),
        ("captcha: {enabled: true, provider: turnstile, site_key: hidden-value}", {}, "captcha"),
        ("", {"FLUXBASE_TENANTS__ACME__AUTH__SIGN_UP": "hidden-value"}, "FLUXBASE_TENANTS__ACME__AUTH__SIGN_UP"),
        ("", {"FLUXBASE_TENANTS__ACME__SERVER__PORT": "6543"}, "FLUXBASE_TENANTS__ACME__SERVER__PORT"),
        ("", {"FLUXBASE_TENANTS__acme__AUTH__SIGNUP_ENABLED": "hidden-value"}, "FLUXBASE_TENANTS__acme__AUTH__SIGNUP_ENABLED"),
        ("", {"FLUXBASE_TENANTS__ACME__AUTH__JWT_SECRET": "hidden-value"}, "auth.jwt_secret"),
        ("", {"FLUXBASE_TENANTS__ACME__AUTH__JWT_SECRET_FILE": "/hidden-value"}, "FLUXBASE_TENANTS__ACME__AUTH__JWT_SECRET_FILE"),
        ("", {"FLUXBASE_TENANTS_LOCKED_SETTINGS": "auth.hash_workers"}, "tenants.locked_settings"),
    ],
)
def test_what_is_wrong_is_named_and_never_shown(tmp_path: Path, acme: str, env: dict[str, str], named: str) -> None:
    """An unknown key, one of the instance's alone, a bad value: the start is refused with the key's name."""
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, acme=acme, **env)
    assert named in str(refused.value)
    assert "6543" not in str(refused.value)
    assert "hidden-value" not in str(refused.value)


def test_who_decides(tmp_path: Path) -> None:
    """Locked keys and those that cost or leave the machine are the instance's; what reaches other tenants is nobody's."""
    config = loaded(tmp_path, FLUXBASE_TENANTS_LOCKED_SETTINGS="captcha,auth.jwt_secret")
    keys = ("auth.signup_enabled", "auth.jwt_secret", "captcha.enabled", "mail.smtp_host", "hooks.before_sign_in", "server.cors_origins")
    assert [may_decide(config, key, Decider.TENANT) for key in keys] == [True, False, False, False, False, False]
    assert [may_decide(config, key, Decider.INSTANCE) for key in keys] == [True, True, True, True, True, False]
    assert not {key for key in DECIDERS if key.startswith(("server.", "database.", "data.", "tenants.", "limits.", "outbound.", "log."))}
