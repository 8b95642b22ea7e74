"""``fluxbase config show|check``: the settings in force, where each comes from, and whether they are sound. Secrets are never shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fluxbase.cli.options import Data, Json, refusals
from fluxbase.config import Config, settings

SHOW_EXAMPLES = """
Examples:

  fluxbase config show                    every setting, its value and its origin

  fluxbase config show --changed          only what is not a default

  fluxbase config show server --json      one section as JSON

  fluxbase config show --tenant acme      what one tenant has, and from where
"""
CHECK_EXAMPLES = """
Examples:

  fluxbase config check                                  before a restart or a reload

  fluxbase config check --config new.yaml && mv new.yaml fluxbase.yaml
"""

app = typer.Typer(help="Show the configuration and where each value comes from; check it.", no_args_is_help=True, add_completion=False)

File = Annotated[Path | None, typer.Option("--config", help="Configuration file (default ./fluxbase.yaml).", envvar="FLUXBASE_CONFIG")]


@app.command("show", epilog=SHOW_EXAMPLES)
def show(
    section: Annotated[str | None, typer.Argument(help="Only this section or key, for example server or server.port.")] = None,
    data: Data = None,
    file: File = None,
    is_changed_only: Annotated[bool, typer.Option("--changed", help="Leave out defaults.")] = False,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="SLUG", help="The settings in force for one tenant.")] = None,
    is_json: Json = False,
) -> None:
    """Print every setting with its value and its origin: default, the file's name, the variable's, or the tenant's database."""
    with refusals("config", is_json=is_json):
        config = _load(file, data)
        if tenant is not None:
            config = _of_tenant(config, tenant)
    rows = [
        (key, value, origin)
        for key, value, origin in described(config)
        if (section is None or key == section or key.startswith(f"{section}.")) and not (is_changed_only and origin == "default")
    ]
    if section is not None and not rows and not is_changed_only:
        sys.stderr.write(f"fluxbase config: there is no setting {section}; fluxbase config show lists them\n")
        raise typer.Exit(2)
    if is_json:
        sys.stdout.write(json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}) + "\n")
        return
    width = max((len(key) for key, _, _ in rows), default=0)
    texts = [(key, as_yaml(value), origin) for key, value, origin in rows]
    value_width = min(max((len(text) for _, text, _ in texts), default=0), 40)
    for key, text, origin in texts:
        sys.stdout.write(f"{key:<{width}}  {text:<{value_width}}  {origin}\n")


@app.command("check", epilog=CHECK_EXAMPLES)
def check(data: Data = None, file: File = None, is_json: Json = False) -> None:
    """Read the whole configuration as a start would. Exit status 0 when it is sound, else 2 and one line that names the key."""
    with refusals("config", is_json=is_json):
        config = _load(file, data)
    changed = sum(origin != "default" for _, _, origin in described(config))
    total = len(settings())
    text = f"the configuration is sound: {total} settings, {changed} of them not the default"
    sys.stdout.write((json.dumps({"is_sound": True, "settings": total, "changed": changed}) if is_json else text) + "\n")


def _load(file: Path | None, data: Path | None) -> Config:
    """The named file's settings, or those of the instance that ``--data`` names."""
    from fluxbase.config import load_config
    from fluxbase.db.instance import running_config

    return running_config(data) if file is None else load_config(file, data_dir=data)


def _of_tenant(config: Config, slug: str) -> Config:
    """As that tenant's requests find it; without a running instance only what files and variables say."""
    import asyncio

    from fluxbase.config.tenants import tenant_config
    from fluxbase.db.instance import Instance

    if config.database.url is None and not Instance(config.data_dir).is_held():
        sys.stderr.write("fluxbase config: no instance runs here, so settings kept in the tenant's database are not shown\n")
        return tenant_config(config, slug)

    async def read() -> Config:
        from fluxbase.app import open_program

        async with open_program(config.data_dir, config=config) as program:
            return (await program.registry.resolve(slug)).settings

    return asyncio.run(read())


def described(config: Config) -> list[tuple[str, Any, str]]:
    """Each setting: dotted key, value as JSON knows it (a secret is ``[secret]`` or null), origin."""
    rows: list[tuple[str, Any, str]] = []
    for key, _ in settings():
        value: Any = config
        for part in key.split("."):
            value = getattr(value, part)
        rows.append((key, json.loads(json.dumps(value, default=str)), config.origins[key]))
    return rows


def as_yaml(value: Any) -> str:
    """A value as one would write it in ``fluxbase.yaml``, on one line."""
    if value is None or value == "":
        return '""' if value == "" else "null"
    return value if isinstance(value, str) else json.dumps(value)
