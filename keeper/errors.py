# SPDX-License-Identifier: MIT
"""
Everything that can go wrong, and what each revert reason of the contracts means.

KeeperError
  Fault                  this cycle failed; try the next one
    ChainUnavailable     no answer, or none that can be used
      WrongChain         another chain, or another contract, answers
      NodeBehind         the node's head is old or went back
      Throttled          the node asks for fewer requests
      Unreached          no connection: not a byte has left
      Disagreement       nodes differ about what a decision rests on
    CorruptAnswer        an answer that cannot be
    JournalUnavailable   it cannot be read or written now; nothing is sent, and watching goes on
      JournalDamaged     what is in it cannot be; a person must restore it
    LeaseLost            another keeper has taken over
    SignerFault          the remote signer is out of reach, refuses, or signs something else
    CallRefused          the chain would revert, or has reverted
    TransactionDropped   the node no longer knows a transaction
    DeadlineExceeded     the job's own time is over
  Halt                   stop; a person must look
    ConfigInvalid        configuration, key or deployment file
    InvariantBroken      a state that our own rules exclude

Failures in a row end no process: the guard stops sending, and watching goes on.

Exceptions take values and phrase themselves in one line.
"""

from __future__ import annotations

from typing import Final


class KeeperError(Exception):
    """Anything the keeper raises on purpose."""


class Fault(KeeperError):
    """This cycle failed; try the next one."""

    rarer = True  # whether what fails is to be asked less often while it fails


class ChainUnavailable(Fault):
    """The node gave no answer, or none that can be used."""


class WrongChain(ChainUnavailable):
    """Another chain answers, or there is no such contract on it."""


class NodeBehind(ChainUnavailable):
    """The node's head is too old, or lower than one seen before."""


class Throttled(ChainUnavailable):
    """The node limits the rate of requests, and may say for how long."""

    def __init__(self, words: str, retry_after_secs: float = 0.0) -> None:
        self.retry_after_secs = retry_after_secs
        super().__init__(words)


class Unreached(ChainUnavailable):
    """There is no connection to the node, so nothing has been handed to it."""


class Disagreement(ChainUnavailable):
    """Nodes differ about what a decision rests on, and none of them has the majority."""


class CorruptAnswer(Fault):
    """An answer that cannot be; nothing is decided on it."""


class Unsendable(Fault):
    """One plan cannot be sent now; others may."""


class SendRefused(Unsendable):
    """The node has not taken a transaction, and says so without doubt."""


class NonceTaken(SendRefused):
    """The nonce is used: by this very transaction, or by another."""


class SignerFault(Unsendable):
    """The signer cannot be reached, refuses, or signs something else than it was asked."""


CHAIN_REFUSES: Final = "the chain refuses"


class CallRefused(Unsendable):
    """
    The chain would revert the call.

    Parameters
    ----------
    reason : str
        The contract's own words, or a selector in hex, or empty when it gave none.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{CHAIN_REFUSES}: {meaning(reason)}")


class JournalUnavailable(Fault):
    """The journal cannot be read or written now: full, locked, out of reach."""

    rarer = False  # watching goes on, and needs no journal


class JournalDamaged(JournalUnavailable):
    """What is in the journal cannot be; trying again does not help."""


class LeaseLost(Fault):
    """Another keeper may lead; this one neither sends nor writes any more."""

    rarer = False


class TransactionDropped(Fault):
    """A transaction that was sent is gone from chain and pool."""

    def __init__(self, tx_hash: str, why: str) -> None:
        super().__init__(f"transaction {tx_hash} dropped: {why}")


class DeadlineExceeded(Fault):
    """The job's own deadline passed; what it had not sent by then it must not send."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"deadline passed before: {stage}")


class Halt(KeeperError):
    """Stop; a person must look."""


class ConfigInvalid(Halt):
    """Configuration, key or deployment file; the text names the field."""


class InvariantBroken(Halt):
    """A state that our own rules exclude."""


# What each reason says to an operator. `tests/unit/keeper/test_errors.py` greps the contracts and
# fails for a reason that is not here.
_TABLE: Final[dict[str, dict[str, str]]] = {
    "book": {
        "allotment over 100 %": "a venue's allotment is a share of NAV",
        "amount too large": "an amount in the plan is over 2**112 units",
        "approve failed": "the token refused an approval",
        "asset is quote": "asset and quote must be two tokens",
        "asset is zero": "deployment without an asset",
        "bad receiver": "a reward goes to an account of a person, not to the vault's own contracts",
        "base charge too low": "the vault's base charge must cover what the feeds may lag",
        "caller is not guardian": "only the guardian may do this",
        "caller is not the book": "only the book itself may call this",
        "caller is not the keeper": "this key is not the keeper that the book names",
        "caller is not the vault": "only the book's own vault may do this",
        "cooldown": "the last rebalance is too recent and nothing is urgent",
        "cooldown too long": "a limit is out of its range",
        "cost bound is zero": "a limit is out of its range",
        "cost bound too high": "a limit is out of its range",
        "cost budget is zero": "a limit is out of its range",
        "cost budget too high": "a limit is out of its range",
        "cost over its bound": "the plan would lose more NAV than its turnover allows",
        "cost over its budget": "the day's budget of cost is used up; it refills with time",
        "deadline passed": "the transaction came too late; the next tick plans anew",
        "decimals not 6 to 18": "the token's decimals are not supported",
        "delta not reduced": "with so little equity only plans that shrink delta pass",
        "drift inside the band": "the hedge is good enough; somebody may have traded first",
        "drift moved": "a plan that settles or moves the hedge must leave drift where it is",
        "drift not reduced": "the plan would not bring the hedge closer to its target",
        "drift overshoots": "the plan would hedge too far to the other side",
        "equity not positive": "the vault is insolvent: a person must look",
        "fallback takes no margin": "only while unwinding may anybody take margin out",
        "gap floor is zero": "a limit is out of its range",
        "gap floor too large": "a limit is out of its range",
        "gap share over 100 %": "a limit is out of its range",
        "grace too long": "the grace period is at most a week",
        "grace too short": "the grace period is at least a minute",
        "guard is zero": "deployment without a guard",
        "guardian is zero": "there must be a guardian",
        "inner band is zero": "a limit is out of its range",
        "keeper is zero": "there must be a keeper",
        "leg is empty": "a leg of the plan does nothing",
        "margin floor at liquidation": "a limit is out of its range",
        "margin not moved": "the venue did not book the margin it was told to",
        "margin over its floor": "anybody may add margin only where it is under the floor",
        "margin still under its floor": "a reward for margin alone is for who brings enough",
        "margin target too high": "a limit is out of its range",
        "margin target under floor": "a limit is out of its range",
        "margin under target": "a venue would be left with too little margin",
        "max trade is zero": "a limit is out of its range",
        "max trade too large": "a limit is out of its range",
        "min equity is zero": "a limit is out of its range",
        "min equity too large": "a limit is out of its range",
        "min step is zero": "a limit is out of its range",
        "min step over urgent band": "a limit is out of its range",
        "not a venue": "one of the vault's own contracts cannot be a venue",
        "not enough idle quote": "the book holds less quote than the plan spends",
        "not flagged": "nobody has flagged that the keeper is late: call `flag` first",
        "nothing is urgent": "drift and margin are inside their urgent limits",
        "oracle is zero": "deployment without an oracle",
        "over the allotment": "a venue would hold more of NAV than it may",
        "overshoot over inner band": "a limit is out of its range",
        "plan is empty": "the plan does nothing",
        "positions grow in a move": "a move between venues may not open more than it closes",
        "quote is zero": "deployment without a quote token",
        "quote not received": "the book got less quote than it was told",
        "quote over its bound": "the book cannot hold so much quote",
        "ramp is zero": "the reward needs a time to rise in",
        "ramp too long": "the reward rises for at most a day",
        "ratio bound too high": "the hedge ratio is bounded by 120 %",
        "ratio bounds crossed": "the least hedge ratio is over the greatest",
        "ratio changed too fast": "the hedge ratio moves by 25 points a day at most",
        "ratio over its bound": "the hedge ratio is out of its bounds",
        "ratio under its bound": "the hedge ratio is out of its bounds",
        "rebalancing is paused": "the guardian paused rebalancing; top-ups and reductions pass",
        "record over its bounds": "position or cash at one venue exceed what the book can note",
        "reward over its bound": "the reward is over 2**112 units",
        "reward too high": "the reward has not risen to this yet",
        "size not filled": "the venue did not fill the size it was told",
        "sizes differ in sign": "a plan may not buy and sell unless it is neutral",
        "slippage": "a fill was further from the oracle than allowed; the market moved",
        "slippage is zero": "a limit is out of its range",
        "spot is zero": "deployment without a spot market",
        "spot limit price": "the spot market moved beyond the plan's limit",
        "spot limit too large": "the plan's spot limit is out of range",
        "spot price moved": "the spot market charged another price than it quoted",
        "the keeper has time left": "the grace period is not over",
        "too many venues": "a book has four venues at most",
        "trade too large": "a trade is over the cap for one plan",
        "transfer failed": "the token refused a transfer",
        "turnover budget is zero": "a limit is out of its range",
        "turnover budget too high": "a limit is out of its range",
        "turnover over budget": "the day's budget of turnover is used up; it refills with time",
        "unknown instrument": "the venue trades one perpetual, number 0",
        "unknown venue": "the venue is not registered with this book",
        "unwinding": "the book unwinds: its target is no hedge, for good",
        "unwinding already": "the unwinding has been started before",
        "unwinding only shrinks": "while the book unwinds a plan may only shrink positions",
        "urgent band over 100 %": "a limit is out of its range",
        "urgent band under inner": "a limit is out of its range",
        "urgent reserve too high": "a limit is out of its range",
        "urgent slippage tighter": "a limit is out of its range",
        "urgent slippage too high": "a limit is out of its range",
        "vault is set": "the book knows its vault already",
        "vault is zero": "the book needs a vault",
        "vault of another book": "vault and book do not belong together",
        "venue does not answer": "the plan touches a venue that fails to say what is there",
        "venue is registered": "the venue is registered already",
        "venue is zero": "a venue needs an address",
        "venue traded twice": "a plan may trade once at each venue",
        "wrong nonce": "another plan was carried out first, so this one is void",
    },
    "claims": {
        "bad receiver": "claims cannot go to that address",
        "not enough allowance": "the owner of the claims has not allowed this",
        "not enough claims": "the account has fewer claims of that round",
    },
    "exit": {
        "a good price was seen": "the price was good after the announcement: announce anew",
        "a venue is silent": "the settlement waits for a venue that does not answer",
        "announced already": "somebody said so before: wait for the delay",
        "announcement lapsed": "the announcement is too old: announce anew",
        "bad receiver": "neither assets nor shares can go to that address",
        "book is zero": "deployment without a book",
        "claims are worth nothing": "nothing was left at the venues for that round",
        "delay": "the delay of exits in kind is out of its range",
        "fewer assets than asked": "the part of the idle assets is smaller than the caller accepts",
        "less quote than asked": "the part of the idle quote is smaller than the caller accepts",
        "not announced": "nobody has said that there is no price: call `announce` first",
        "nothing to settle": "nobody has left in kind since the last settlement",
        "patience": "the patience with silent venues is out of its range",
        "round is not settled": "these claims become shares when the price is back",
        "there is a good price": "leave as always: exits in kind are for when there is none",
        "too early": "the price must have been bad for longer",
        "transfer failed": "the vault refused to send the shares",
        "zero claims": "the amount is zero",
        "zero shares": "the amount is zero",
    },
    "fixed_point": {
        "denominator <= 0": "a division that cannot be: report it",
    },
    "fund": {
        "entry is open": "a stake of yours has yet to be turned into shares",
        "entry is too recent": "a stake earns nothing before its delay is over",
        "no entry": "nothing of yours waits to be turned into shares",
        "no request": "the staker has not asked to leave",
        "not enough shares": "the staker has fewer shares",
        "nothing to collect": "the venue owes the fund nothing now",
        "request has expired": "the time to be paid is over; end the request and ask again",
        "request is open": "the staker has asked to leave already; end that request first",
        "request is too recent": "stakers are paid only after the delay has passed",
        "too little gas": "the transaction needs more gas to ask the venues what they owe",
        "too many venues": "a fund covers eight venues at most",
        "too much quote": "the fund cannot hold so much quote",
        "transfer failed": "the token refused a transfer",
        "under minimum quote": "the request is worth less than the staker accepts",
        "unstake delay": "the delay before stakers are paid is out of its range",
        "unstake window": "the window in which stakers are paid is out of its range",
        "venue not registered": "the fund does not cover this venue",
        "worth nothing": "losses have used up what the shares were worth",
        "zero address": "an address is missing",
        "zero amount": "the amount is zero",
        "zero shares": "the amount is worth no share",
    },
    "oracle": {
        "asset feed is zero": "deployment without a feed of the asset",
        "asset witness same feed": "a feed cannot be its own witness",
        "max deviation": "the allowed deviation is out of its range",
        "price out of range": "the price is outside 1e-12 to 1e12",
        "quote feed is zero": "deployment without a feed of the quote token",
        "quote witness same feed": "a feed cannot be its own witness",
    },
    "pause": {
        "longer than 72 h": "a pause lasts 72 hours at most",
        "too soon after the last": "the guardian must wait before pausing again",
        "zero duration": "a pause needs a duration",
    },
    "pool": {
        "already requested": "one request is pending: execute or cancel it",
        "asset decimals": "the token's decimals are not supported",
        "insolvent": "the pool's equity is not positive",
        "min delay": "the delay of requests is out of its range",
        "not enough quote": "the pool holds less quote",
        "not enough shares": "the provider has fewer shares",
        "not the venue": "only the pool's venue may do this",
        "nothing requested": "the account has no such request",
        "price has not stood": "the price must be noted here for a minute",
        "quote decimals": "the token's decimals are not supported",
        "request expired": "the request is too old: cancel it and make another",
        "same oracle round": "the oracle has had no later round since the request",
        "skew needs the equity": "the venue's open positions need the pool's money",
        "too early": "the delay of the request is not over",
        "transfer failed": "the token refused a transfer",
        "under minimum holding": "a provider has one whole share or more, or none",
        "under minimum quote": "less quote than the provider accepts",
        "under minimum shares": "fewer shares than the provider accepts",
        "venue already set": "the pool knows its venue already",
        "venue of another pool": "venue and pool do not belong together",
        "venue goes on": "the venue is not wound up; leave by request",
        "venue oracle differs": "venue and pool must use one oracle",
        "window": "the time that requests stand is out of its range",
        "zero address": "an address is missing",
        "zero amount": "the amount is zero",
        "zero receiver": "a receiver is missing",
        "zero shares": "the amount is worth no share",
    },
    "queue": {
        "assets not received": "the queue got fewer assets than it was told",
        "book is zero": "deployment without a book",
        "caller is not the owner": "only who made the request may do this",
        "cancel delay": "the delay before a request may be cancelled is out of its range",
        "delay": "the delay of requests is out of its range",
        "minimum over the value": "the shares are worth less than that minimum already",
        "minimum shares": "the least request is out of its range",
        "not enough liquid": "idle assets and free margin do not cover the next request now",
        "nothing is due": "no request has waited for its delay and a later round of the feed",
        "nothing to claim": "nothing is reserved for this account",
        "nothing waits": "the request is filled, cancelled or lapsed, or was never made",
        "premium is off its mean": "the venue's premium has just moved; it must settle first",
        "premium tolerance": "the tolerance of the premium is out of its range",
        "shares out of range": "the amount is out of range",
        "too early": "the request may not be cancelled yet",
        "transfer failed": "the token refused a transfer",
        "under minimum shares": "the request is too small",
    },
    "spot": {
        "asset is quote": "asset and quote must be two tokens",
        "asset is zero": "deployment without an asset",
        "assets over reserve": "the spot market holds fewer assets",
        "caller is not the owner": "only the owner may do this",
        "cost over max": "the spot market charges more than the caller accepts",
        "fee over 10 %": "the fee is out of its range",
        "no liquidity": "the spot market is empty",
        "nothing to seed": "the amounts are zero",
        "nothing to withdraw": "the amounts are zero",
        "proceeds are zero": "the amount is worth no quote",
        "proceeds under min": "the spot market pays less than the caller accepts",
        "quote is zero": "deployment without a quote token",
        "quote over reserve": "the spot market holds less quote",
        "receiver is zero": "a receiver is missing",
        "reserve too large": "an amount is out of range",
        "transfer failed": "the token refused a transfer",
        "zero assets": "the amount is zero",
    },
    "timelock": {
        "caller is not itself": "only an operation of the timelock may do this",
        "delay out of range": "the delay is a day to thirty days",
        "guardian is zero": "a guardian is missing",
        "one account for both": "proposer and guardian must be two accounts",
        "operation expired": "nobody executed it in time; cancel it and propose it anew",
        "proposer is zero": "a proposer is missing",
    },
    "vault": {
        "assets not received": "the vault got fewer assets than it was told",
        "assets over maximum": "the amount is out of range",
        "bad receiver": "shares cannot go to that address",
        "base charge too high": "the base charge is out of its range",
        "base charge too low": "the base charge must cover what the feeds may lag",
        "book is zero": "deployment without a book",
        "bound of the caller": "the flow would give less, or take more, than the caller accepts",
        "caller is not guardian": "only the guardian may do this",
        "caller is not the book": "only the vault's own book may do this",
        "caller is not the exit": "only the vault's own exit in kind may do this",
        "caller is not the queue": "only the vault's own queue may do this",
        "charge over the amount": "the charge for this flow is more than the amount",
        "entry is paused": "the guardian paused deposits; exits go on",
        "equity not positive": "the vault is insolvent: a person must look",
        "exit is zero": "deployment without an exit in kind",
        "exit of another book": "vault and exit do not belong together",
        "exits in kind unsettled": "somebody left without a price: call `settle` first",
        "gap over its limit": "so much unhedged at once is refused; the keeper must hedge first",
        "hedge is not sound": "a venue fails, lost or claims too much: only exits",
        "no good price": "there has been no usable price yet",
        "not enough idle assets": "the vault holds fewer idle assets than the plan uses",
        "not enough liquid": "what is liquid beyond the queue's need does not cover this exit",
        "queue is zero": "deployment without a queue",
        "queue of another book": "vault and queue do not belong together",
        "rules is zero": "deployment without rules",
        "supply under minimum": "so few shares may not remain",
        "transfer failed": "the token refused a transfer",
        "venue does not quote": "the venue fails to say what hedging costs",
        "zero assets": "the amount is zero",
        "zero shares": "the amount is worth no share",
    },
    "venue": {
        "account is healthy": "the account is not to be liquidated",
        "accounts are open": "close all accounts first",
        "another batch runs": "a batch of another cause runs; give its cause",
        "another chunk is next": "give the chunks in the order in which they were listed",
        "asset decimals": "the token's decimals are not supported",
        "backstop account": "the pool's own account cannot be liquidated",
        "batch has time left": "a batch can be abandoned after its deadline only",
        "claims are not fixed": "first all accounts are closed and claims are fixed",
        "debt is backed": "the debt is small beside the asset margin; only the owner may settle it",
        "deleveraging first": "a loss waits for deleveraging; the backstop unwinds after it",
        "deleveraging runs": "a batch of deleveraging runs; it ends within ten minutes",
        "discount over haircut": "a term is out of its range",
        "fill over the limit": "the market moved beyond the plan's limit price",
        "flow": "a term is out of its range",
        "fund of another token": "fund and venue must use one quote token",
        "fund share": "a term is out of its range",
        "funding cap": "a term is out of its range",
        "haircut": "a term is out of its range",
        "initial margin": "a term is out of its range",
        "initial slope": "a term is out of its range",
        "interest": "a term is out of its range",
        "interest band": "a term is out of its range",
        "liquidations are paced": "too much is being liquidated; try in some minutes",
        "list in one call": "the loss is too small to let the venue wait for several",
        "loan rate": "a term is out of its range",
        "loan share": "a term is out of its range",
        "low share": "a term is out of its range",
        "maintenance buffer": "a term is out of its range",
        "maintenance over initial": "the terms would let maintenance exceed initial margin",
        "maker fee": "a term is out of its range",
        "minimum size": "a term is out of its range",
        "no batch runs": "there is no batch to end",
        "no profit": "the position has no profit at the worse of index and closing fill",
        "no profit payable now": "the day's rate or the pool's tokens are used up",
        "nobody to deleverage": "the winning side has no accounts",
        "not enough assets": "the account has fewer assets as margin",
        "not enough quote": "the venue lends no quote on request",
        "not the backstop's": "the backstop holds less of this side",
        "not on the winning side": "an account in the list has no position on the winning side",
        "not released yet": "the venue is wound up; release the account first",
        "not the fund": "only the insurance fund may do this",
        "not winding up": "the venue is not being wound up",
        "nothing to deleverage": "no loss waits on this side",
        "nothing to settle": "the account has no debt, or no asset margin to sell",
        "nothing to unwind": "the backstop has no position, or the terms have no step",
        "penalty or reward": "a term is out of its range",
        "pool cannot pay": "the pool is short of tokens for this withdrawal",
        "pool carries its skew": "the pool's equity is enough for the skew",
        "pool of other tokens": "pool and venue must use the same tokens",
        "pool too small": "the pool's equity does not carry a larger skew",
        "premium cap": "the premium is at its cap",
        "price out of range": "the oracle's price is out of the venue's range",
        "quote decimals": "the token's decimals are not supported",
        "realise share": "a term is out of its range",
        "released already": "the account was released before",
        "rest has less equity": "what remains of the position would have less equity per size",
        "rest under maintenance": "what remains of the position would be under maintenance",
        "reward floor over cap": "a term is out of its range",
        "rules of other tokens": "rules and venue must use the same tokens",
        "side cap": "a term is out of its range",
        "side is full": "open interest of this side is at its cap",
        "size out of range": "the size is more than the market could ever hold",
        "skew scale": "a term is out of its range",
        "skew share": "a term is out of its range",
        "taker fee": "a term is out of its range",
        "takers first": "the backstop holds too much to unwind; somebody has to take it over",
        "too many assets": "the amount is out of range",
        "too soon to list again": "a batch was abandoned within the last hour",
        "transfer failed": "the token refused a transfer",
        "under initial margin": "the account would have less than its initial margin",
        "under minimum size": "so small a position may not remain",
        "unknown cause": "the cause is 0 shorts failed, 1 longs failed, or 2 the pool runs low",
        "unknown instrument": "the venue trades one perpetual, number 0",
        "unwind step": "a term is out of its range",
        "unwound a moment ago": "the backstop unwinds once a minute",
        "withdrawals wait": "a loss waits for deleveraging; it takes an hour at most",
        "wound up": "the venue has ended; close, release and withdraw",
        "wrong order": "the list is not sorted by the rule, or has an account twice",
        "zero address": "an address is missing",
        "zero amount": "the amount is zero",
        "zero receiver": "a receiver is missing",
        "zero size": "the size is zero",
    },
}

# The oracle names the feed and what is wrong with it.
_FEEDS: Final[dict[str, str]] = {
    "asset feed": "the asset's feed",
    "asset witness": "the asset's second feed",
    "quote feed": "the quote token's feed",
    "quote witness": "the quote token's second feed",
}
_FAULTS: Final[dict[str, str]] = {
    "reverted": "gives no answer",
    "malformed": "gives an answer that is no round",
    "negative": "gives a negative price",
    "zero": "gives a price of zero",
    "too large": "gives a price out of range",
    "incomplete": "has not finished its round",
    "old round": "repeats an older round",
    "in future": "is dated in the future",
    "stale": "is too old",
}
_SETTINGS: Final[dict[str, str]] = {
    "max age": "its maximum age is out of range",
    "threshold": "its deviation threshold is out of range",
    "decimals": "its decimals are not supported",
}


def _oracle_reasons() -> dict[str, str]:
    reasons = {
        f"oracle: {feed} {fault}": f"{whose} {what}; nothing is traded until it recovers"
        for feed, whose in _FEEDS.items()
        for fault, what in _FAULTS.items()
    }
    for name in ("asset", "quote"):
        reasons[f"oracle: {name} feeds deviate"] = (
            f"the two feeds of the {name} disagree; nothing is traded until they agree"
        )
    for name in ("asset", "asset witness", "quote", "quote witness"):
        for setting, what in _SETTINGS.items():
            reasons[f"oracle: {name} {setting}"] = f"the {name} feed was set up wrongly: {what}"
    return reasons


REASONS: Final[dict[str, str]] = {
    f"{module}: {fact}": sentence
    for module, facts in _TABLE.items()
    for fact, sentence in facts.items()
} | _oracle_reasons()


def meaning(reason: str) -> str:
    """Return a plain sentence for a revert reason, with the reason itself."""
    if not reason:
        return "reverted without a reason"
    sentence = REASONS.get(reason)
    return f"{reason} ({sentence})" if sentence else reason
