# SPDX-License-Identifier: MIT
"""`hedgevault replay`: every recorded decision made again from its inputs, and held against it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from keeper.config import load_config
from keeper.errors import Fault, Halt
from keeper.journal import DecisionRow, Journal
from keeper.strategy import Decision, Rebalance, decide

SHOWN = 20  # differences; the rest is counted


def made_again(row: DecisionRow) -> tuple[Decision, bool]:
    """Return what a decision's inputs give now, and whether that is what was recorded."""
    again = decide(row.snapshot, row.policy, row.memory_before)
    plan = again.plan if isinstance(again, Rebalance) else None
    now = (again.decision_id.hex(), again.reason, plan, again.memory)
    return again, now == (row.decision_id, row.reason, row.plan, row.memory_after)


def replay(
    first: Annotated[int, typer.Option(min=0, help="Row of the decision to begin at.")] = 0,
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration file.")] = Path(
        "hedgevault.toml"
    ),
) -> None:
    """Make all recorded decisions again and compare. Exit 3 if one differs."""
    settings = load_config(config)
    ticks, count, different = set(), 0, 0
    with closing(Journal.existing(settings.journal, settings.chain.chain_id)) as journal:
        for row in journal.decisions(first=first):
            again, same = made_again(row)
            ticks.add(row.tick_id)
            count += 1
            different += not same
            if not same and different <= SHOWN:
                typer.echo(
                    f"decision {row.id}, block {row.snapshot.block.number}: recorded "
                    f"{row.kind}: {row.reason}; now {type(again).__name__.lower()}: {again.reason}"
                )
    if count == 0:
        raise Fault(f"no decision in {journal.place}")
    typer.echo(f"{count} decisions of {len(ticks)} ticks made again from their recorded inputs")
    if different:
        raise Halt(f"{different} of them differ: another version of the keeper wrote them?")
    typer.echo("all the same")
