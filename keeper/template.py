# SPDX-License-Identifier: MIT
"""
The configuration file that `hedgevault init` writes: every key with its default and its reason.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from keeper.policy import Policy
from keeper.reader import LOCAL_CHAINS

HEAD: Final = """\
# Keeper of hedging vaults. Paths are relative to this file; unknown keys are refused.
# Lines that begin with "#" show the default.

# Addresses of lens and vault, as `brownie run deploy` wrote them ...
{deployment}
# ... or by hand: chain.lens and one [[vaults]] for each vault.
# [[vaults]]
# address = "0x..."

[chain]
rpc_url = "{rpc_url}"
chain_id = {chain_id}
# lens = "0x..."
# other_rpc_urls = []         # more nodes of the chain: all are asked, one that fails, lags or
#                             # dissents rests. URLs may hold keys, the log shows hosts only
# quorum = 1                  # nodes that must agree; by default half of them, rounded up. What
#                             # some deny more than others say is never decided on
# max_lag_blocks = 3          # behind the quorum, until a node rests
# max_requests_a_sec = 50     # to each node
# send_url = "https://..."    # where signed bytes go instead, a private relay for instance
# send_mode = "private"       # ... and nowhere else whatever happens; "public": to the nodes
#                             # above if not a byte has reached it
# request_timeout_secs = 5    # for the whole of a request
# attempts = 3                # to read, in one tick; what was sent is never sent again blindly
# confirmations = 1           # blocks until a transaction counts as final
# head_max_age_secs = 120     # an older head means a node that lags: nothing is sent
{clock}

# The keeper's key: an encrypted keystore, with its password in a file or in an environment variable
# or else typed; the name of an environment variable; or a signer that keeps it (Web3Signer, Clef).
# Never the key itself. Without [signer] there are dry runs only.
[signer]
# keystore = "keeper.json"
# password_file = "keeper.password"
# password_env = "HEDGEVAULT_PASSWORD"
# url = "http://127.0.0.1:9000"
# address = "0x..."
# timeout_secs = 5            # for the answer of the signer
key_env = "HEDGEVAULT_KEEPER_KEY"

# Only ever stricter than the contracts' limits. Shares in bps (1/10,000).
[policy]
{policy}

[fees]
# max_fee_gwei = 100          # cap on the fee per gas; over it the keeper waits
# priority_fee_gwei = 1
# max_gas = 3000000           # a transaction
# gas_margin_bps = 5000       # over the estimate
# replace_after_secs = 60     # what waits so long is paid an eighth more, up to the cap; a plan
# max_replacements = 8        # that has expired by then is replaced by nothing, to free the nonce

# A SQLite file, or PostgreSQL by URL: postgresql://user@host/name. A URL may hold a password; then
# it stands better in the environment. Tables are made, and brought up to date, at the start.
[journal]
# path = "hedgevault.sqlite"
# url = "postgresql://..."
# url_env = "HEDGEVAULT_JOURNAL_URL"

[jobs]
# tick_secs = 15
# tick_deadline_secs = 60
# margin_watch_secs = 5
# margin_watch_deadline_secs = 20
# receipt_wait_secs = 30      # in a tick; later ticks go on watching

# Budgets stop sending, never watching. Hours and days are those of the chain.
[safety]
# kill_file = "hedgevault.stop"   # while it exists nothing is sent
# max_price_age_secs = 90000
# max_reverts_in_row = 3
# max_sends_an_hour = 30
# max_gas_a_day = 20000000
# max_spend_ether_a_day = 1
# max_turnover_an_hour_bps = 30000  # of a vault's equity, or of larger positions; urgent or not

# What anybody may do for the vaults' venues and queues, if this keeper is to do it as well:
# "liquidate", "deleverage", "poke" (funding, tokens, requests, backstop), "process" (the queue),
# "exits" (settles exits in kind when the price is back: without it the vault stands still).
# It pays the gas; rewards are credited to the key's account at the venue. Budgets are its own.
[upkeep]
# do = []
# every_secs = 30
# deadline_secs = 60
# least_reward = 0            # quote tokens; a liquidation that pays less is left to others
# first_block = 0             # at or before that of the venues; the deployment names it
# max_reverts_in_row = 5
# max_sends_an_hour = 60
# max_gas_a_day = 20000000
# max_spend_ether_a_day = 0.2

[log]
# format = "auto"             # "json", "console", or by whether stderr is a terminal

# /metrics, /health and /ready, for everybody who reaches them; 0: not served.
[http]
# host = "127.0.0.1"
# port = 0

# Where to is an Apprise URL for each place (slack://..., tgram://..., mailtos://...,
# pagerduty://..., jsons://...), one a line. It holds a token, so it is not in here: the name of an
# environment variable, or a file that only the keeper can read. Without either: in the log only.
# `hedgevault alerts --test` sends one to each.
[alerts]
# url_env = "HEDGEVAULT_ALERT_URLS"
# url_file = "alerts.urls"
# after_secs = 60             # until what lasts is told, and until its end is
# remind_secs = 14400         # while it lasts
# low_balance_ether = 0.05    # of the key; fees are paid from it
"""

CLOCK_NOTE: Final = '"wall", or "head" for a chain with a time of its own (local, replay)'
NOTES: Final[dict[str, str]] = {
    "trigger_bps": "drift at which hedging starts",
    "target_bps": "drift at which it ends",
    "min_trade_bps": "smallest trade worth its gas, of equity",
    "max_trade_bps": "largest trade of one plan, of equity",
    "slippage_bps": "fill against the index, fee included",
    "cost_bound_bps": "cost over turnover",
    "limit_tolerance_bps": "how much worse than expected a fill may be",
    "budget_use_bps": "share of the chain's budgets that a plan may use",
    "distance_low_bps": "move to liquidation under which margin is topped up",
    "distance_target_bps": "... to here",
    "distance_high_bps": "... and over which it is taken back",
    "margin_buffer_bps": "over the chain's margin target",
    "idle_reserve_bps": "of equity, kept idle for exits",
    "settle_trigger_bps": "quote profit or debt, of NAV, that is settled",
    "settle_target_bps": "... down to here",
    "deadline_secs": "life of a plan",
    "max_price_age_secs": "oldest answer behind the price; the quote feed's heartbeat is a day",
    "max_premium_gap_bps": "premium against its mean, unless urgent",
    "funding_horizon_secs": "time that a venue's funding rate counts for in choosing venues",
    "shut_venues": "bit i: nothing is sent to venue i of the book",
    "ratio_strategy": "0 none, 1 static, 2 minimum variance, 3 carry, 4 volatility; advice",
    "static_ratio_bps": "hedge ratio of 1",
    "aversion_bps": "relative risk aversion of 3, 10000 is 1",
    "target_volatility_bps": "a year, left unhedged by 4",
    "most_unhedged_bps": "... and at most this share",
    "least_ratio_change_bps": "a smaller change is not advised",
    "volatility_bps": "a year, until a month of prices was seen; 0: wait for it",
    "headroom_secs": "time within which nobody may be able to add margin",
    "headroom_deviations_bps": "margin for that many forecast deviations; 0: fixed distances",
}


def template(
    *, rpc_url: str = "http://127.0.0.1:8545", chain_id: int = 31337, deployment: str | None = None
) -> str:
    """Return the text of a configuration file with every key in it."""
    path = deployment or f"deployments/{chain_id}.json"
    policy = "\n".join(
        f"# {f'{field.name} = {field.default}':<27} # {NOTES[field.name]}"
        for field in fields(Policy)
    )
    choice = 'clock = "head"' if chain_id in LOCAL_CHAINS else '# clock = "wall"'
    clock = f"{choice:<27} # {CLOCK_NOTE}"
    return HEAD.format(
        rpc_url=rpc_url,
        chain_id=chain_id,
        deployment=f'deployment = "{path}"',
        policy=policy,
        clock=clock,
    )
