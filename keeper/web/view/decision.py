# SPDX-License-Identifier: MIT
"""
One decision: its sum line by line, its plan, its transaction, before and after, its audit record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keeper.events import Event
from keeper.explain import Line, recompute
from keeper.journal import DecisionRow, Tx, TxState
from keeper.outcome import Impossible, project
from keeper.plan import Leg, Plan, plan_hash
from keeper.risk import Risk, assess
from keeper.snapshot import Snapshot, VaultSnapshot
from keeper.strategy import Rebalance, decide
from keeper.web.view.decisions import KIND_WORDS, STATE_WORDS, outcome
from keeper.words import Fact, Level, Remark, Tokens, moment, number, percent, short, span, times

GWEI: Final = 9  # decimals
ETHER: Final = 18
STEP_WORDS: Final[Mapping[str, str]] = {
    TxState.PLANNED: "planned",
    TxState.SIGNED: "simulated and signed",
    TxState.ACCEPTED: "handed to a node",
    TxState.MINED: "mined",
    TxState.FINAL: "final",
    TxState.FAILED: "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SumLine:
    """One line of the sum: `shown` is for people, `raw` what was reckoned with."""

    name: str
    shown: str
    raw: str
    unit: str
    formula: str
    derived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure before, as planned, and as it was seen afterwards."""

    name: str
    before: str
    planned: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One state that a transaction went through."""

    word: str
    when: str
    detail: str
    level: Level


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """One decision."""

    row: int
    decision_id: str
    kind_word: str
    reason: str
    level: Level
    outcome: str
    facts: tuple[Fact, ...]
    lines: tuple[SumLine, ...]
    checks: tuple[Remark, ...]
    plan: tuple[Fact, ...]
    changes: tuple[Change, ...]
    after_block: str
    tx: tuple[Fact, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the chain itself says of a decision."""

    facts: tuple[Fact, ...]
    checks: tuple[Remark, ...]
    events: tuple[Fact, ...]


def decision_page(
    row: DecisionRow,
    tokens: Tokens,
    tx: Tx | None,
    steps: Sequence[tuple[str, float, str]],
    later: DecisionRow | None,
) -> DecisionPage:
    """
    Return the page of one decision, made again from its recorded inputs.

    Parameters
    ----------
    later : DecisionRow or None
        The first decision on a block that has the transaction: what came of it.
    """
    again = decide(row.snapshot, row.policy, row.memory_before)
    level, words = outcome(row.kind, row.objection, tx)
    block = row.snapshot.block
    return DecisionPage(
        row=row.id,
        decision_id=f"0x{row.decision_id}",
        kind_word=KIND_WORDS.get(row.kind, row.kind),
        reason=row.reason,
        level=level,
        outcome=words,
        facts=(
            Fact(name="Block", value=f"{block.number:,}", note=moment(block.at)),
            Fact(name="Job", value=row.job),
            Fact(name="Decision", value=f"0x{row.decision_id}"),
        ),
        lines=tuple(sum_line(line, tokens) for line in again.lines),
        checks=tuple(_checks(row, again)),
        plan=tuple(_plan(row.plan, tokens)) if row.plan else (),
        changes=tuple(_changes(row, later, tokens)),
        after_block=f"{later.snapshot.block.number:,}" if later else "",
        tx=tuple(_tx_facts(tx)) if tx else (),
        steps=tuple(_steps(steps)),
    )


# The sum


def sum_line(line: Line, tokens: Tokens) -> SumLine:
    """Return a line of the sum in units that people read."""
    derived = not line.formula.startswith(("= ", "search: "))
    return SumLine(
        name=line.name,
        shown=_shown(line, tokens),
        raw=f"{line.value:,}",
        unit=line.unit,
        formula=line.formula.removeprefix("= "),
        derived=derived,
    )


def _shown(line: Line, tokens: Tokens) -> str:
    unit = line.unit.split(",")[0]
    if line.unit.endswith("WAD"):
        return number(line.value, 18)
    if unit == "assets":
        return tokens.assets(line.value)
    if unit == "quote":
        return tokens.quotes(line.value)
    if unit == "bps":
        return percent(line.value)
    if unit == "s":
        return moment(line.value) if line.name.endswith("_at") else span(line.value)
    return f"{line.value:,}"


def _checks(row: DecisionRow, again: Any) -> list[Remark]:
    plan = again.plan if isinstance(again, Rebalance) else None
    same = (again.decision_id.hex(), again.reason, plan) == (row.decision_id, row.reason, row.plan)
    wrong = recompute(again.lines)
    return [
        _check(same, "Made again from the recorded inputs: the same, bit for bit.",
               "Made again from the recorded inputs it comes out DIFFERENT."),
        _check(wrong is None, "Every derived line, computed anew from its formula, is right.",
               f"The line {wrong.name if wrong else ''} does not follow from its formula."),
    ]  # fmt: skip


def _check(holds: bool, good: str, bad: str) -> Remark:
    return Remark(level=Level.GOOD if holds else Level.ACT, words=good if holds else bad)


# The plan


def _plan(plan: Plan, tokens: Tokens) -> list[Fact]:
    facts = [fact for leg in plan.legs for fact in _leg(leg, tokens)]
    if plan.spot_assets:
        facts.append(_trade("Spot", plan.spot_assets, plan.spot_limit_price_wad, tokens))
    until = f"until {moment(plan.deadline)}"
    return [
        *facts,
        Fact(name="Valid", value=until, note=f"plan number {plan.nonce}"),
        Fact(name="Plan hash", value=f"0x{plan_hash(plan).hex()}"),
    ]


def _leg(leg: Leg, tokens: Tokens) -> Iterator[Fact]:
    place = short(leg.venue)
    for amount, words in ((leg.margin_assets, tokens.assets), (leg.margin_quote, tokens.quotes)):
        if amount:
            verb = "put in" if amount > 0 else "take out"
            yield Fact(name=f"Margin at {place}", value=f"{verb} {words(abs(amount))}")
    if leg.size:
        yield _trade(f"Trade at {place}", leg.size, leg.limit_price_wad, tokens)


def _trade(name: str, size: int, limit_price_wad: int, tokens: Tokens) -> Fact:
    verb = "buy" if size > 0 else "sell"
    bound = f"at {tokens.price(limit_price_wad)} or better"
    return Fact(name=name, value=f"{verb} {tokens.assets(abs(size))}", note=bound)


# Before and after


def _changes(row: DecisionRow, later: DecisionRow | None, tokens: Tokens) -> list[Change]:
    if row.plan is None:
        return []
    before = assess(row.snapshot.vault)
    try:
        planned: Risk | None = project(row.snapshot.vault, row.plan, before).after
    except Impossible:
        planned = None
    after = _assessed(later.snapshot) if later else None
    named = [fact.name for fact in _figures(row.snapshot.vault, before, tokens)]
    return [
        Change(name=name, before=old, planned=meant, after=new)
        for name, old, meant, new in zip(
            named,
            _values(row.snapshot.vault, before, tokens, len(named)),
            _values(row.snapshot.vault, planned, tokens, len(named)),
            _values(later.snapshot.vault if later else None, after, tokens, len(named)),
            strict=True,
        )
    ]


def _assessed(snapshot: Snapshot) -> Risk | None:
    return assess(snapshot.vault) if snapshot.vault.price_wad > 0 else None


def _values(
    vault: VaultSnapshot | None, risk: Risk | None, tokens: Tokens, count: int
) -> list[str]:
    if vault is None or risk is None:
        return [""] * count
    return [fact.value for fact in _figures(vault, risk, tokens)]


def _figures(vault: VaultSnapshot, risk: Risk, tokens: Tokens) -> list[Fact]:
    prices = [v.liquidation_price_wad for v in risk.venues if v.delta and v.liquidation_price_wad]
    nearest = min(prices, key=lambda price: abs(price - vault.price_wad), default=None)
    return [
        Fact(name="Net asset value", value=tokens.quotes(risk.nav)),
        Fact(name="Delta", value=tokens.assets(risk.delta, signed=True)),
        Fact(name="Exposure", value=percent(risk.exposure_bps)),
        Fact(name="Drift", value=percent(risk.drift_bps)),
        Fact(name="Margin ratio", value=times(risk.margin_ratio_bps)),
        Fact(
            name="Liquidation price",
            value="at no price" if nearest is None else tokens.price(nearest),
        ),
    ]


# The transaction


def _tx_facts(tx: Tx) -> list[Fact]:
    level_word = STATE_WORDS[tx.state][1]
    facts = [Fact(name="State", value=level_word, note=tx.detail or "")]
    if tx.tx_hash:
        facts.append(Fact(name="Hash", value=tx.tx_hash))
    facts.append(Fact(name="From", value=tx.sender, note=f"nonce {tx.account_nonce}"))
    if tx.block_number is not None:
        facts.append(Fact(name="Block", value=f"{tx.block_number:,}"))
    if tx.gas_used is not None:
        price = tx.effective_gas_price or 0
        fee = number(tx.gas_used * price, ETHER)
        note = f"{number(price, GWEI)} gwei each: {fee} ether"
        facts.append(Fact(name="Gas used", value=f"{tx.gas_used:,}", note=note))
    return [*facts, Fact(name="Handed to a node", value=f"{tx.sends} times")]


def _steps(steps: Sequence[tuple[str, float, str]]) -> Iterator[Step]:
    """Yield what has happened; only the last step can still be open."""
    for i, (state, at, detail) in enumerate(steps):
        level = Level.GOOD
        if state == TxState.FAILED:
            level = Level.ACT
        elif i == len(steps) - 1 and state != TxState.FINAL:
            level = Level.WATCH
        word = STEP_WORDS.get(state, state)
        yield Step(word=word, when=moment(at), detail=detail, level=level)


# The audit record


def audit_record(events: Sequence[Event], row: DecisionRow, tokens: Tokens) -> Record | None:
    """Return what the book wrote of this decision, or None when it wrote nothing."""
    found = [
        event
        for event in events
        if event.name == "Rebalanced" and event["decision_id"].hex() == row.decision_id
    ]
    if not found or row.plan is None:
        return None
    event, record = found[0], found[0]["record"]
    same = record["plan_hash"] == plan_hash(row.plan)
    return Record(
        facts=tuple(_record_facts(event, record, tokens)),
        checks=(
            _check(same, "The chain carried out exactly this plan: the hashes are equal.",
                   "The chain carried out ANOTHER plan: the hashes differ."),
        ),
        events=tuple(_event(each) for each in events),
    )  # fmt: skip


def _record_facts(event: Event, record: dict[str, Any], tokens: Tokens) -> list[Fact]:
    def moved(name: str, words: Callable[[int], str]) -> str:
        return f"{words(record[f'{name}_before'])} → {words(record[f'{name}_after'])}"

    turnover = f"turnover {tokens.quotes(record['turnover'])}"
    oracle_round = f"oracle round {record['oracle_round_id']}"
    return [
        Fact(name="Number", value=f"{record['nonce']:,}", note=moment(record["block_at"])),
        Fact(name="Price", value=tokens.price(record["price_wad"]), note=oracle_round),
        Fact(name="Net asset value", value=moved("nav", tokens.quotes)),
        Fact(name="Delta", value=moved("delta", tokens.assets)),
        Fact(name="Equity", value=moved("equity", tokens.assets)),
        Fact(name="Cost", value=tokens.quotes(record["cost"]), note=turnover),
        Fact(name="Plan hash", value="0x" + record["plan_hash"].hex()),
        Fact(name="Audit head", value="0x" + event["audit_head"].hex(), note="after this record"),
    ]


def _event(event: Event) -> Fact:
    return Fact(
        name=f"{event.contract}.{event.name}",
        value=", ".join(f"{name} {_word(value)}" for name, value in event.fields.items()),
    )


def _word(value: Any) -> str:
    match value:
        case bytes():
            return short("0x" + value.hex())
        case str():
            return short(value)
        case dict():
            return "(above)"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
    return str(value)
