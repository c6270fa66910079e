"""Options from a TOML file: weaker than the environment, stronger than the defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from heatgrid.words.errors import InputError, UsageError, nearest

_NOT_IN_FILES = ("config", "debug", "events")
_PREFIX = "HEATGRID_"
_NO_OPTIONS = frozenset(
    _PREFIX + name
    for name in ("CONFIG", "DEBUG", "DATA", "GPU", "MEMORY", "THREADS", "FUZZ", "PYTHON", "SETUP", "VENV")
)
"""Variables of the library, of the launcher and of the tests."""


def load(ctx: typer.Context, path: str | None) -> str | None:
    """The callback of ``-c``: what the file says becomes the defaults of this command.

    Keys are the options' long names (``session-gap = "30min"``); ``map`` and ``kind`` are tables. A key that this
    command does not have but another one has is passed over, so that one file serves all commands.
    """
    if path is None:
        return None
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            "the config file cannot be read", code="HG2010", where=path, value=str(error), expected="a TOML file"
        ) from error
    known = _option_names()
    values: dict[str, Any] = {}
    for key, value in data.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(
                "unknown key in the config file", code="HG1020", where=path, value=key,
                hint=nearest(key, sorted(n.replace("_", "-") for n in known)),
            )  # fmt: skip
        values[name] = _as_written(value)
    if "areas" in values:
        values["areas"] = str(Path(path).parent / values["areas"])
    ctx.default_map = values
    return path


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """What is said of variables HEATGRID_... that name no option of any command."""
    asked = sorted(name for name in environment if name.startswith(_PREFIX) and name not in _NO_OPTIONS)
    if not asked:
        return []
    known = {_PREFIX + name.upper() for name in _option_names()} | _NO_OPTIONS
    unknown = [name for name in asked if name not in known]
    return [f"{name} in the environment is no option and is not read: {_like(name, known)}" for name in unknown]


def _like(name: str, known: set[str]) -> str:
    near = nearest(name, sorted(known))
    return near if near.startswith("did") else "they are called as the options (HEATGRID_CELL for --cell)"


def _option_names() -> set[str]:
    """Of all commands."""
    from heatgrid.cli.app import COMMANDS
    from heatgrid.cli.options import kinds_of

    return {name for command in COMMANDS.values() for name in kinds_of(command)} - set(_NOT_IN_FILES)


def _as_written(value: object) -> object:
    """A TOML value as it would stand on the command line."""
    if isinstance(value, dict):
        return [f"{key}={_joined(item)}" for key, item in value.items()]
    if isinstance(value, list):
        return [str(item) for item in value]
    return value if isinstance(value, bool) else str(value)


def _joined(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
