"""What the areas leave to close. Imports none of them: a short command closes only what it used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxbase.app import Program


async def close_areas(program: Program) -> None:
    """Close what was built; an area that nobody asked for is not built to be closed."""
    built = vars(program)
    if "factors" in built:
        await program.factors.hooks.close()
    await program.account_sessions.close()
    if "outbound" in built:
        await program.outbound.close()
    if "auth" in built:
        program.auth.passwords.close()
