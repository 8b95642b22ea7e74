"""The counters that worker processes share: the arithmetic of one process, for all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fluxbase.config.limits import Limits
from fluxbase.kernel.access import Limit
from fluxbase.limits.rules import rule_of
from fluxbase.limits.shared_counts import SLOTS, SharedCounts

RULE = rule_of(Limit("slow", rate=20, per_seconds=86_400, is_local=True), Limits())
KEY = b"k" * 32
OTHER_PROCESS = """
import sys
from pathlib import Path
from fluxbase.config.limits import Limits
from fluxbase.kernel.access import Limit
from fluxbase.limits.rules import rule_of
from fluxbase.limits.shared_counts import SharedCounts
rule = rule_of(Limit("slow", rate=20, per_seconds=86_400, is_local=True), Limits())
counts = SharedCounts(Path(sys.argv[1]), b"k" * 32)
print(sum(counts.passes(rule, "a") for _ in range(15)))
"""


def test_two_processes_have_one_quota(tmp_path: Path) -> None:
    """Of 20 the one takes 15 and the other the five that are left; another key has its own 20."""
    counts = SharedCounts(tmp_path / "addresses", KEY)
    done = subprocess.run([sys.executable, "-c", OTHER_PROCESS, str(tmp_path / "addresses")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "15"
    assert sum(counts.passes(RULE, "a") for _ in range(15)) == 5
    assert sum(counts.passes(RULE, "b") for _ in range(30)) == 20
    grant = counts.grant(RULE, "a")
    assert (grant.remaining(RULE), 0 < grant.wait_seconds(RULE) <= 4320) == (0, True)


def test_what_an_earlier_boot_wrote_blocks_nobody(tmp_path: Path) -> None:
    """The machine's clock starts anew; a moment further ahead than any quota reaches is taken for nothing."""
    path = tmp_path / "addresses"
    SharedCounts(path, KEY)
    path.write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f" * SLOTS)
    assert sum(SharedCounts(path, KEY).passes(RULE, "a") for _ in range(30)) == 20


def test_slots_are_not_told(tmp_path: Path) -> None:
    """Under another key the same address lies elsewhere: whoever does not know it cannot aim at a slot."""
    one, other = SharedCounts(tmp_path / "one", KEY), SharedCounts(tmp_path / "other", b"o" * 32)
    for counts in (one, other):
        for number in range(8):
            counts.passes(RULE, f"{number}")
    first, second = (
        {at for at in range(0, SLOTS * 8, 8) if data[at : at + 8].strip(b"\0")}
        for data in map(Path.read_bytes, (tmp_path / "one", tmp_path / "other"))
    )
    assert (len(first), len(second)) == (8, 8)
    assert first.isdisjoint(second)
