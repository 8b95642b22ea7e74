"""The command line as a whole: every command has --data, --json, examples; every command that a page names exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import import_module

import click
import pytest
import typer

from fluxbase.cli.main import COMMANDS, usage
from tests.meta.test_repository import ROOT, tracked_files

WITHOUT_JSON = {"fluxbase db psql": "what it prints is psql's own"}


def commands() -> dict[str, click.Command]:
    """Every command that does something, by the words that call it."""
    found: dict[str, click.Command] = {}
    for name, (module, _) in COMMANDS.items():
        app = typer.main.get_command(import_module(module).app)
        if isinstance(app, click.Group) or hasattr(app, "commands"):
            found |= {f"fluxbase {name} {sub}": command for sub, command in app.commands.items()}  # type: ignore[union-attr]
        else:
            found[f"fluxbase {name}"] = app
    return found


ALL = commands()


def options(command: click.Command) -> set[str]:
    """The option names a command knows."""
    return {name for parameter in command.params for name in parameter.opts} | {"--help"}


@pytest.mark.parametrize("name", ALL)
def test_every_command_finds_its_instance_and_speaks_json(name: str) -> None:
    """--data and --json everywhere; the exceptions have a reason."""
    wanted = {"--data"} | (set() if name in WITHOUT_JSON else {"--json"})
    assert wanted - options(ALL[name]) == set()


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_an_example(name: str) -> None:
    """The help ends with an example that calls this command, with options it has."""
    examples = [name + more for more in re.findall(rf"{name}\b([^;\n]*)", ALL[name].epilog or "")]
    assert examples, f"add an example to the epilog of {name}"
    assert [line for line in examples if unknown_options(line)] == []


@pytest.mark.parametrize("name", ALL)
def test_every_option_and_argument_is_explained(name: str) -> None:
    """No option without a sentence."""
    assert [p.name for p in ALL[name].params if not getattr(p, "help", None)] == []


def unknown_options(line: str) -> list[str]:
    """What a written command line uses and the program does not know."""
    line = re.split(r" #| \||&|;", line, maxsplit=1)[0]
    try:
        words = shlex.split(line.replace("…", ""))
    except ValueError:
        return []
    if len(words) < 2 or words[1].startswith("-") or words[1] == "COMMAND":
        return []
    name = next((n for n in (" ".join(words[:3]), " ".join(words[:2])) if n in ALL), None)
    if name is None:
        group = words[1] in COMMANDS and (len(words) == 2 or re.fullmatch(r"[a-z]+(\|[a-z]+)+", words[2]))
        return [] if group else [line]
    given = [w.split("=")[0] for w in (words[: words.index("--")] if "--" in words else words) if w.startswith("-")]
    return [option for option in given if option not in options(ALL[name])]


def test_pages_name_commands_that_exist() -> None:
    """Each `fluxbase …` in the pages' code, and in the messages of the program, is a command with options it has; each `make …` is a target."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong: list[str] = []
    for path in tracked_files():
        if path.suffix != ".md":
            continue
        text = path.read_text()
        code = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
        code += re.findall(r"`((?:fluxbase|make) [^`\n]+)`", text)
        for line in code:
            words = line.strip().removeprefix(".venv/bin/")
            found = re.search(r"(?:^|[A-Z_]+=\S+ )(fluxbase .*)", words)
            if found:
                wrong += [f"{path.name}: {one}" for one in unknown_options(found[1])]
            elif words.startswith("make ") and words.split()[1].split("#")[0] not in targets | {""}:
                wrong.append(f"{path.name}: {words}")
    assert wrong == []


def test_the_menu_lists_every_command() -> None:
    """`fluxbase --help` names each command and every module exists."""
    assert [name for name in COMMANDS if f"  {name} " not in usage()] == []


def test_help_is_quick() -> None:
    """`fluxbase --help` loads neither the server nor the driver."""
    check = "import sys; from fluxbase.cli.main import main; main(['--help']); print([m for m in ('granian', 'psycopg', 'fastapi') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip().endswith("[]")
