# SPDX-License-Identifier: MIT
"""`hedgevault kill`: the kill switch by command; the file is what the keeper looks at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keeper.config import load_config
from keeper.errors import ConfigInvalid


def kill(
    off: Annotated[bool, typer.Option("--off", help="Let the keeper send again.")] = False,
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")] = Path(
        "hedgevault.toml"
    ),
) -> None:
    """Stop sending at once, without stopping to watch: set the kill switch."""
    file = load_config(config).kill_file
    try:
        file.unlink(missing_ok=True) if off else file.touch()
    except OSError as fault:
        words = (fault.strerror or str(fault)).lower()
        raise ConfigInvalid(f"safety.kill_file: {file}: {words}") from fault
    if off:
        typer.echo(f"The kill switch is off: {file} is gone, the keeper may send.")
    else:
        typer.echo(f"The kill switch is set: {file}. Nothing is sent until hedgevault kill --off")
