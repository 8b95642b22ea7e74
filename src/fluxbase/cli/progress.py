"""What a command is doing, on standard error: a moving line on a terminal, finished steps as plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fluxbase.cli.options import console

if TYPE_CHECKING:
    from fluxbase.db.user_migrations import MigrationEvent


class Progress:
    """``step`` says what runs now, ``say`` what is worth keeping. Quiet with ``--json``."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._is_quiet = is_quiet
        self._status = None if is_quiet or not console.is_terminal else console.status("")

    @contextmanager
    def running(self) -> Generator[Progress]:
        """Show the moving line while the block runs."""
        if self._status is None:
            yield self
            return
        with self._status:
            yield self

    def step(self, text: str) -> None:
        """What happens now; replaced by the next step."""
        if self._status is not None:
            self._status.update(f"{text} …")

    def say(self, text: str) -> None:
        """One line that stays."""
        if not self._is_quiet:
            console.print(f"  {text}", markup=False, soft_wrap=True)

    def migration(self, event: MigrationEvent) -> None:
        """Progress of one migration file."""
        from fluxbase.db.user_migrations import EventKind

        place = f"[{event.index}/{event.total}] " if event.total else ""
        match event.kind:
            case EventKind.STARTED:
                self.step(f"{place}{event.file}")
            case EventKind.APPLIED:
                if not self._is_quiet:
                    console.print(f"  {place}{event.file} done", style="green", markup=False)
            case _:
                if not self._is_quiet:
                    console.print(f"  {event.text}", style="yellow" if event.kind is EventKind.WAITING else "dim", markup=False)
