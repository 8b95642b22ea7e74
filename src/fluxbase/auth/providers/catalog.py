"""The providers we know, as data. An OpenID provider needs its issuer only; others have their addresses and a reading of their profile.

``trusts_email`` says whether the provider's word that an address is verified is believed: Microsoft lets administrators write
any address into a profile (nOAuth, threat B13), so there it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_DISCORD = "https://discord.com"
_FACEBOOK = "https://graph.facebook.com/v23.0"
_GITHUB = "https://github.com"
_X = "https://x.com"


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """What is the same for everybody who uses the provider."""

    name: str
    display_name: str
    issuer: str
    """Of the identities; of an OpenID provider the issuer its discovery document must name."""
    scopes: tuple[str, ...]
    profile: str = "oidc"
    """How to read who it is: ``oidc`` from the ID token, else a reader of ``profiles.py``."""
    authorize_url: str = ""
    token_url: str = ""
    profile_url: str = ""
    revoke_url: str = ""
    authorize_parameters: dict[str, str] = field(default_factory=dict[str, str])
    secret_in: str = "client_secret_basic"  # noqa: S105 - the name of a method
    trusts_email: bool = True
    posts_answer: bool = False
    """It answers with a cross-site POST (``response_mode=form_post``), which a SameSite=Lax cookie does not accompany."""
    discovery: str = ""
    """Address of the discovery document, where it does not follow from the issuer."""

    @property
    def is_oidc(self) -> bool:
        """Whether an ID token says who it is."""
        return self.profile == "oidc"


CATALOG: tuple[ProviderSpec, ...] = (
    ProviderSpec("google", "Google", "https://accounts.google.com", ("openid", "email", "profile"), secret_in="client_secret_post"),  # noqa: S106
    ProviderSpec(
        "github", "GitHub", _GITHUB, ("read:user", "user:email"), profile="github", authorize_url=f"{_GITHUB}/login/oauth/authorize",
        token_url=f"{_GITHUB}/login/oauth/access_token", profile_url="https://api.github.com/user", secret_in="client_secret_post",  # noqa: S106
    ),
    ProviderSpec(
        "microsoft", "Microsoft", "https://login.microsoftonline.com/{tenantid}/v2.0", ("openid", "email", "profile"),
        secret_in="client_secret_post", trusts_email=False, discovery="https://login.microsoftonline.com/{directory}/v2.0",  # noqa: S106
    ),
    ProviderSpec(
        "apple", "Apple", "https://appleid.apple.com", ("openid", "email", "name"), secret_in="client_secret_post", posts_answer=True,  # noqa: S106
        authorize_parameters={"response_mode": "form_post"},
    ),
    ProviderSpec(
        "facebook", "Facebook", "https://www.facebook.com", ("email", "public_profile"), profile="facebook",
        authorize_url="https://www.facebook.com/v23.0/dialog/oauth", token_url=f"{_FACEBOOK}/oauth/access_token",
        profile_url=f"{_FACEBOOK}/me?fields=id,name,email,picture", secret_in="client_secret_post",  # noqa: S106
    ),
    ProviderSpec("gitlab", "GitLab", "https://gitlab.com", ("openid", "email", "profile")),
    ProviderSpec(
        "discord", "Discord", _DISCORD, ("identify", "email"), profile="discord", authorize_url=f"{_DISCORD}/oauth2/authorize",
        token_url=f"{_DISCORD}/api/oauth2/token", profile_url=f"{_DISCORD}/api/users/@me", revoke_url=f"{_DISCORD}/api/oauth2/token/revoke",
    ),
    ProviderSpec("linkedin", "LinkedIn", "https://www.linkedin.com/oauth", ("openid", "email", "profile"), secret_in="client_secret_post"),  # noqa: S106
    ProviderSpec("slack", "Slack", "https://slack.com", ("openid", "email", "profile"), secret_in="client_secret_post"),  # noqa: S106
    ProviderSpec(
        "x", "X", _X, ("users.read", "tweet.read"), profile="x", authorize_url=f"{_X}/i/oauth2/authorize",
        token_url="https://api.x.com/2/oauth2/token", revoke_url="https://api.x.com/2/oauth2/revoke",  # noqa: S106
        profile_url="https://api.x.com/2/users/me?user.fields=profile_image_url",
    ),
)  # fmt: skip

ALIASES = {"azure": "microsoft", "twitter": "x", "linkedin_oidc": "linkedin", "slack_oidc": "slack"}
"""Names that other systems' clients send."""
