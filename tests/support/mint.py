"""``python -m tests.support.mint DATA_DIR JSON``: print an access token, signed with the instance's own key."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxbase.app import Program
    from tests.unit.auth.tokens import Forge


async def mint(data_dir: Path, arguments: dict[str, object]) -> str:
    """Sign as sign-in will."""
    from fluxbase.app import open_program

    async with open_program(data_dir) as program:
        return await access_token(program, **arguments)  # type: ignore[arg-type]


async def access_token(
    program: Program, *, user_id: str, role: str = "authenticated", session_id: str | None = None, claims: dict[str, object] | None = None,
    tenant: str = "default",
) -> str:  # fmt: skip
    """Of a user that need not exist, in a session that need not either."""
    from fluxbase.auth.minter import TokenMinter

    more: dict[str, Any] = dict(claims or {})
    email = more.pop("email", None)
    of = (await program.registry.resolve(tenant)).id
    return await TokenMinter(program.rings, program.rules).access_token(
        of, user_id=user_id, role=role, session_id=session_id, email=email, extra=more
    )


async def forge(data_dir: Path, arguments: dict[str, object]) -> Forge:
    """A good token and the real key behind it, for the corpus of bad tokens."""
    from fluxbase.app import open_program
    from tests.unit.auth.tokens import Forge, raw_signer

    async with open_program(data_dir) as program:
        good = await access_token(program, **arguments)  # type: ignore[arg-type]
        signer = (await program.rings.get(program.registry.default.id)).ring.signer
        public = signer.public_jwk()
        assert public is not None
        return Forge(good, public, raw_signer(signer))


def login_password(data_dir: Path, login: str) -> str:
    """The password of one of our logins, derived from the instance's master key."""
    from fluxbase.crypto.master import MasterKey
    from fluxbase.kernel.secret import Secret

    key = Secret((data_dir / "master.key").read_text().strip())  # read here: the instance may belong to another user
    return MasterKey.load(data_dir / "master.key", key).derive_secret(f"login:{login}").reveal()


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(mint(Path(sys.argv[1]), json.loads(sys.argv[2]))))
