# SPDX-License-Identifier: MIT
"""
When an operator is told, what, and when it is over.

`ALERTS` is the table: what each alert means and what to do. A condition that holds is told once
it has held for its patience, told again only as a reminder, and its end is told once it has been
gone as long. So one slow block tells nobody anything, and what comes and goes is one alert.

What was told is handed on to the next process as a text, so that a keeper that starts again neither
repeats it nor forgets to say that it is over. Pure: time comes in, messages go out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How soon somebody must look."""

    WARNING = "warning"  # today
    CRITICAL = "critical"  # now


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A line of the table: `means` and `remedy` are one sentence each."""

    severity: Severity
    means: str
    remedy: str
    at_once: bool = False  # a fact, not a state that may pass by itself


WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL

ALERTS: Final[Mapping[str, Alert]] = {
    "node_unavailable": Alert(
        severity=CRITICAL,
        means="The node does not answer, so nothing is hedged.",
        remedy="Check the node and the way to it, or set chain.rpc_url to another one.",
    ),
    "node_behind": Alert(
        severity=CRITICAL,
        means="The node's head is old or went back, so nothing is hedged.",
        remedy="Let the node catch up or use another one; check this machine's clock.",
    ),
    "wrong_chain": Alert(
        severity=CRITICAL,
        means="Another chain answers, or the lens is not on it.",
        remedy="Compare chain.rpc_url, chain.chain_id and chain.lens with the deployment.",
    ),
    "corrupt_answer": Alert(
        severity=CRITICAL,
        means="The node gives answers that cannot be; nothing is decided on them.",
        remedy="Use another node and run `hedgevault doctor` against this one.",
    ),
    "journal_unavailable": Alert(
        severity=CRITICAL,
        means="The journal cannot be written, so nothing is sent.",
        remedy="Do what the reason says: free disk space, end what holds it, mend the server.",
    ),
    "tick_failing": Alert(
        severity=CRITICAL,
        means="No cycle has ended well for too long.",
        remedy="Read the last lines of the log; restart the keeper if they say nothing.",
        at_once=True,
    ),
    "job_hung": Alert(
        severity=CRITICAL,
        means="A job did not end within its deadline and was given up.",
        remedy="Look for a node or a disk that accepts and never answers; restart if it lasts.",
    ),
    "job_missed": Alert(
        severity=WARNING,
        means="Runs of a job were missed or met the one before.",
        remedy="Give the machine more time or raise jobs.tick_secs and jobs.margin_watch_secs.",
    ),
    "halted": Alert(
        severity=CRITICAL,
        means="The keeper has stopped itself; the vault is watched by nobody.",
        remedy="Read the last line of the log, cure what it names, start the keeper again.",
        at_once=True,
    ),
    "took_over": Alert(
        severity=WARNING,
        means="Another keeper led, and this one has taken over from it.",
        remedy="Find out why the other one stopped and start it again: nobody stands by now.",
        at_once=True,
    ),
    "price_bad": Alert(
        severity=CRITICAL,
        means="A vault's oracle gives no price that may be traded on.",
        remedy="Look at the feed that the reason names; hedging goes on when it answers again.",
    ),
    "drift_urgent": Alert(
        severity=CRITICAL,
        means="A vault's drift is over its urgent band.",
        remedy="Run `hedgevault explain last` for what holds the keeper back.",
    ),
    "margin_low": Alert(
        severity=CRITICAL,
        means="A vault's margin at a venue is under its floor.",
        remedy="Run `hedgevault status`; the guardian may unwind before the venue liquidates.",
    ),
    "hedge_withheld": Alert(
        severity=WARNING,
        means="A rebalance is wanted and not sent.",
        remedy="Remove what the reason names: a budget, a fee cap, a transaction that waits.",
    ),
    "budget_reached": Alert(
        severity=CRITICAL,
        means="A budget of [safety] is used up; nothing more is sent until it is free again.",
        remedy="Find out from the journal why so much was sent before you raise the limit.",
        at_once=True,
    ),
    "kill_switch": Alert(
        severity=WARNING,
        means="The kill file exists, so nothing is sent.",
        remedy="Remove safety.kill_file when hedging may go on.",
        at_once=True,
    ),
    "transaction_failed": Alert(
        severity=CRITICAL,
        means="A rebalance was sent and reverted.",
        remedy="Run `hedgevault explain last`; after safety.max_reverts_in_row nothing is sent.",
        at_once=True,
    ),
    "transaction_stuck": Alert(
        severity=WARNING,
        means="A transaction of the key waits and holds its nonce.",
        remedy="Raise fees.max_fee_gwei: the keeper pays more by itself, up to that cap.",
    ),
    "balance_low": Alert(
        severity=WARNING,
        means="The key's balance is under alerts.low_balance_ether.",
        remedy="Send ether to the keeper's address.",
    ),
    "alert_undelivered": Alert(
        severity=WARNING,
        means="An alert target has not taken messages for too long.",
        remedy="Check the target's URL and token; the log has every message that it missed.",
    ),
    "test": Alert(
        severity=WARNING,
        means="Somebody tries whether alerts arrive.",
        remedy="Nothing: this one has arrived.",
        at_once=True,
    ),
}  # fmt: skip


Key = tuple[str, str]  # the alert's id and its subject


class Stage(StrEnum):
    """What a message says about an alert."""

    RAISED = "raised"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told."""

    alert: str
    subject: str  # a vault, a job, a target, or empty
    stage: Stage
    words: str
    secs: float  # since the condition began to hold

    @property
    def key(self) -> Key:
        """Return what it is about."""
        return self.alert, self.subject

    @property
    def title(self) -> str:
        """Return one line for a phone's screen."""
        about = f" {self.subject}" if self.subject else ""
        return f"{self.stage.value}: {self.alert}{about} ({ALERTS[self.alert].severity})"

    @property
    def body(self) -> str:
        """Return what holds, since when, what it means and what to do."""
        rule = ALERTS[self.alert]
        if self.stage is Stage.RESOLVED:
            return f"Over after {self.secs:.0f} s. It was: {self.words}"
        return f"{self.words}\nFor {self.secs:.0f} s. {rule.means}\nWhat to do: {rule.remedy}"


@dataclass(slots=True, kw_only=True)
class Standing:
    """A condition that holds, or held a moment ago."""

    words: str
    since: float
    gone_since: float | None = None
    told_at: float | None = None  # None: it has not held long enough

    def not_after(self, now: float) -> None:
        """Take a moment still to come for now: the clock was set back, and nobody waits so long."""
        self.since = min(self.since, now)
        self.gone_since = None if self.gone_since is None else min(self.gone_since, now)
        self.told_at = None if self.told_at is None else min(self.told_at, now)


class Alerts:
    """
    Turns conditions into messages.

    Parameters
    ----------
    after_secs : float
        How long a condition holds before it is told, and is gone before its end is told.
    remind_secs : float
        Time between messages about a condition that lasts.
    told : str
        What `encode` gave to an earlier process.
    """

    def __init__(self, *, after_secs: float, remind_secs: float, told: str = "") -> None:
        self._after_secs = after_secs
        self._remind_secs = remind_secs
        self._standing = standing_in(told)

    def note(self, alert: str, subject: str, words: str | None, now: float) -> None:
        """Say that a condition holds, with words, or that it does not, with None."""
        key = (alert, subject)
        found = self._standing.get(key)
        if words is None:
            if found is not None and found.gone_since is None:
                found.gone_since = now
        elif found is None:
            self._standing[key] = Standing(words=words, since=now)
        else:
            found.words, found.gone_since = words, None

    def note_all(self, alert: str, holds: Mapping[str, str], now: float) -> None:
        """Say for which subjects a condition holds; for others it does not."""
        for name, subject in self._standing:
            if name == alert and subject not in holds:
                self.note(alert, subject, None, now)
        for subject, words in holds.items():
            self.note(alert, subject, words, now)

    def adopt(self, told: str) -> None:
        """Go on with what another process told and has not taken back."""
        self._standing |= standing_in(told)

    def advance(self, now: float) -> list[Message]:
        """Return what is to be told now."""
        for found in self._standing.values():
            found.not_after(now)
        return list(self._due(now))

    def active(self) -> list[Key]:
        """Return what has been told and is not over."""
        return [key for key, found in self._standing.items() if found.told_at is not None]

    def encode(self, untaken: Collection[Key] = ()) -> str:
        """Return for the next process what is told and not over, but not what nobody has yet."""
        told = [key for key in self.active() if key not in untaken]
        return json.dumps([[*key, asdict(self._standing[key])] for key in told])

    def _due(self, now: float) -> Iterator[Message]:
        for key, found in list(self._standing.items()):
            stage = self._stage(key, found, now)
            if stage is not None:
                until = now if found.gone_since is None else found.gone_since
                yield Message(
                    alert=key[0],
                    subject=key[1],
                    stage=stage,
                    words=found.words,
                    secs=until - found.since,
                )

    def _stage(self, key: Key, found: Standing, now: float) -> Stage | None:
        if found.gone_since is not None:
            return self._over(key, found, now - found.gone_since)
        if found.told_at is None:
            patience = 0.0 if ALERTS[key[0]].at_once else self._after_secs
            stage = Stage.RAISED if now - found.since >= patience else None
        else:
            stage = Stage.REMINDER if now - found.told_at >= self._remind_secs else None
        if stage is not None:
            found.told_at = now
        return stage

    def _over(self, key: Key, found: Standing, gone_secs: float) -> Stage | None:
        if gone_secs < self._after_secs:
            return None  # it may come back: then it has been there all the time
        del self._standing[key]
        return None if found.told_at is None else Stage.RESOLVED


def standing_in(told: str) -> dict[Key, Standing]:
    """Return what `Alerts.encode` told of a process; nothing when the text is damaged."""
    try:
        rows = json.loads(told) if told else []
        found = {(str(a), str(s)): Standing(**fields) for a, s, fields in rows if a in ALERTS}
        return {key: item for key, item in found.items() if _is_sound(item)}
    except (ValueError, TypeError):
        return {}


def _is_sound(found: Standing) -> bool:
    times = (found.since, found.told_at, found.gone_since or 0.0)
    return all(isinstance(at, int | float) for at in times) and isinstance(found.words, str)
