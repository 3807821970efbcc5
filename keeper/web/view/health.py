# SPDX-License-Identifier: MIT
"""
How the keeper is: its jobs, transactions, budgets, the nodes, and what it says of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keeper.alerts import ALERTS, Key, Severity, Standing
from keeper.guard import Safety, Spent
from keeper.journal import Tx, TxState
from keeper.web.seen import Seen
from keeper.web.view.decisions import STATE_WORDS
from keeper.web.view.vault import Meter
from keeper.words import Fact, Level, Remark, moment, number, short, span

ETHER: Final = 18  # decimals
GOOD_RESULTS: Final = ("ok",)
SHOWN_FAULTS: Final = 8
NOTHING_SPENT: Final = Spent()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """The last run of a job that the journal knows."""

    name: str
    when: str
    ago: str
    took: str
    requests: str
    level: Level
    result: str
    good_share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TxLine:
    """A transaction in a list."""

    row: int | None  # of its decision; None for a call that anybody may make
    what: str
    when: str
    hash_short: str
    vault_short: str
    level: Level
    state: str
    gas: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLine:
    """A node that the dashboard itself reads from."""

    place: str
    level: Level
    state: str
    requests: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPage:
    """The keeper."""

    remarks: tuple[Remark, ...]
    alerts: tuple[Remark, ...]
    jobs: tuple[JobLine, ...]
    faults: tuple[Fact, ...]
    states: tuple[Fact, ...]
    txs: tuple[TxLine, ...]
    budgets: tuple[Meter, ...]
    upkeep_budgets: tuple[Meter, ...]  # empty when the keeper does no upkeep
    nodes: tuple[NodeLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the journal says of the keeper's work; ticks and transactions newest first."""

    ticks: Sequence[Mapping[str, Any]] = ()
    txs: Sequence[Tx] = ()
    counts: Mapping[TxState, int] | None = None
    spent: Spent = NOTHING_SPENT
    upkeep_spent: Spent = NOTHING_SPENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator allows the keeper; None for upkeep that it does not do."""

    safety: Safety
    upkeep: Safety | None


def health_page(
    seen: Seen,
    recorded: Recorded,
    terms: Terms,
    own_words: Sequence[Remark],
    standing: Mapping[Key, Standing],
    wall: float,
) -> HealthPage:
    """
    Return the page about the keeper.

    Parameters
    ----------
    own_words : sequence of Remark
        What the keeper's own `/health` and `/ready` say, or why they say nothing.
    standing : mapping
        Alerts that were told and are not over.
    wall : float
        Unix seconds of this machine, now.
    """
    return HealthPage(
        remarks=(*_remarks(recorded, wall), *own_words),
        alerts=tuple(_alert(key, found, wall) for key, found in sorted(standing.items())),
        jobs=tuple(_jobs(recorded.ticks, wall)),
        faults=tuple(_faults(recorded.ticks)),
        states=tuple(_states(recorded.counts or {})),
        txs=tuple(_tx(tx) for tx in recorded.txs),
        budgets=tuple(_budgets(recorded.spent, terms.safety)),
        upkeep_budgets=tuple(_budgets(recorded.upkeep_spent, terms.upkeep) if terms.upkeep else ()),
        nodes=tuple(_nodes(seen)),
    )


def own_words(health: Mapping[str, Any], ready: Mapping[str, Any]) -> list[Remark]:
    """Return what the keeper says of itself in sentences."""
    late = health.get("late") or {}
    why = [str(each) for each in ready.get("why") or ()]
    said = [
        Remark(level=Level.GOOD, words="The keeper says that it is ready to hedge.")
        if ready.get("ready")
        else Remark(level=Level.ACT, words=f"The keeper is not ready: {'; '.join(why)}.")
    ]
    if late:
        named = "; ".join(f"{job}: {words}" for job, words in dict(late).items())
        said.append(Remark(level=Level.ACT, words=f"Jobs are late: {named}."))
    if ready.get("kill_switch"):
        said.append(Remark(level=Level.ACT, words="The kill switch is set: nothing is sent."))
    if ready.get("mode") == "dry run":
        said.append(Remark(level=Level.WATCH, words="The keeper is in dry run: nothing is sent."))
    return said


def _remarks(recorded: Recorded, wall: float) -> list[Remark]:
    if not recorded.ticks:
        return [Remark(level=Level.UNKNOWN, words="The journal is empty: no tick has run yet.")]
    last = recorded.ticks[0]
    age = wall - float(last["started_at"])
    good = last["result"] in GOOD_RESULTS or last["result"] is None
    if not good:
        words = f"The last run failed: {last['detail'] or last['result']}."
        return [Remark(level=Level.ACT, words=words)]
    words = f"The last run began {span(age)} ago and ended well."
    if last["result"] is None:
        words = f"A run began {span(age)} ago and is at work, or was cut off."
    return [Remark(level=Level.GOOD, words=words)]


def _alert(key: Key, found: Standing, wall: float) -> Remark:
    name, subject = key
    rule = ALERTS[name]
    about = f"{name} {subject}".rstrip()
    return Remark(
        level=Level.ACT if rule.severity is Severity.CRITICAL else Level.WATCH,
        words=f"{about}, for {span(wall - found.since)}: {found.words}. "
        f"{rule.means} What to do: {rule.remedy}",
    )


def _jobs(ticks: Sequence[Mapping[str, Any]], wall: float) -> list[JobLine]:
    by_job: dict[str, list[Mapping[str, Any]]] = {}
    for tick in ticks:
        by_job.setdefault(str(tick["job"]), []).append(tick)
    return [_job(name, runs, wall) for name, runs in by_job.items()]


def _job(name: str, runs: Sequence[Mapping[str, Any]], wall: float) -> JobLine:
    last = runs[0]
    result = str(last["result"] or "at work")
    ended = last["ended_at"]
    good = sum(run["result"] in GOOD_RESULTS for run in runs)
    return JobLine(
        name=name,
        when=moment(float(last["started_at"])),
        ago=f"{span(wall - float(last['started_at']))} ago",
        took=f"{1_000 * (ended - last['started_at']):,.0f} ms" if ended is not None else "",
        requests=str(last["requests"] if last["requests"] is not None else ""),
        level=Level.GOOD if result in (*GOOD_RESULTS, "at work") else Level.ACT,
        result="good" if result in GOOD_RESULTS else result,
        good_share=f"{good} of the last {len(runs)}",
    )


def _faults(ticks: Sequence[Mapping[str, Any]]) -> list[Fact]:
    bad = [tick for tick in ticks if tick["result"] not in (*GOOD_RESULTS, None)]
    return [
        Fact(
            name=moment(float(tick["started_at"])),
            value=str(tick["detail"] or tick["result"]),
            note=str(tick["job"]),
        )
        for tick in bad[:SHOWN_FAULTS]
    ]


def _states(counts: Mapping[TxState, int]) -> list[Fact]:
    return [
        Fact(name=state.value.capitalize(), value=f"{counts.get(state, 0):,}", note=words)
        for state, (_, words) in STATE_WORDS.items()
    ]


def _tx(tx: Tx) -> TxLine:
    level, words = STATE_WORDS[tx.state]
    return TxLine(
        row=tx.decision_row,
        what=tx.purpose,
        when=moment(tx.planned_at),
        hash_short=short(tx.tx_hash) if tx.tx_hash else "not signed",
        vault_short=short(tx.vault),
        level=level,
        state=f"{words}: {tx.detail}" if tx.detail else words,
        gas=f"{tx.gas_used:,}" if tx.gas_used is not None else "",
    )


def _budgets(spent: Spent, safety: Safety) -> list[Meter]:
    return [
        _meter("Reverts in a row", spent.reverts_in_row, safety.max_reverts_in_row),
        _meter("Transactions in an hour", spent.sends_last_hour, safety.max_sends_an_hour),
        _meter("Gas in a day", spent.gas_last_day, safety.max_gas_a_day),
        Meter(
            name="Fees in a day",
            share=_share(spent.spend_last_day, safety.max_spend_a_day),
            words=f"{number(spent.spend_last_day, ETHER)} of "
            f"{number(safety.max_spend_a_day, ETHER)} ether used",
        ),
    ]


def _meter(name: str, used: int, allowed: int) -> Meter:
    return Meter(name=name, share=_share(used, allowed), words=f"{used:,} of {allowed:,} used")


def _share(used: int, allowed: int) -> float:
    return min(100.0, round(100 * used / allowed, 1)) if allowed else 100.0


def _nodes(seen: Seen) -> list[NodeLine]:
    return [
        NodeLine(
            place=node.place.removeprefix("the node at "),
            level=Level.ACT if node.fault else Level.GOOD,
            state=node.fault or "well",
            requests=f"{node.requests:,}",
        )
        for node in seen.nodes
    ]
