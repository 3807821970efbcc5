# SPDX-License-Identifier: MIT
"""`hedgevault ratio`: the advice of a recorded decision, and the call to follow it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from keeper.config import load_config
from keeper.errors import Fault
from keeper.journal import Journal
from keeper.ratio_words import ratio_lines


def ratio(
    decision: Annotated[
        str, typer.Argument(help="Row number, the first digits of its id, or `last`.")
    ] = "last",
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")] = Path(
        "hedgevault.toml"
    ),
) -> None:
    """Print the hedge ratio that each strategy asks for, and the owner's call to set it."""
    settings = load_config(config)
    with closing(Journal.existing(settings.journal, settings.chain.chain_id)) as journal:
        found = journal.find_decisions(decision)
    if not found:
        raise Fault(f"no decision {decision} in {journal.place}")
    row = found[-1]
    typer.echo("\n".join(ratio_lines(row.snapshot, row.memory_after.outlook, settings.policy)))
