# SPDX-License-Identifier: MIT
"""
The tables of the journal.
"""

from __future__ import annotations

import sqlalchemy as sa

every = sa.MetaData()
meta = sa.Table(
    "meta",
    every,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)
ticks = sa.Table(
    "ticks",
    every,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job", sa.String, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),  # wall clock, Unix seconds
    sa.Column("ended_at", sa.Float),
    sa.Column("block_number", sa.Integer),
    sa.Column("block_hash", sa.String),
    sa.Column("parent_hash", sa.String),
    sa.Column("block_at", sa.Integer),
    sa.Column("requests", sa.Integer),
    sa.Column("result", sa.String),  # ok, fault, halt; empty while it runs or when it was killed
    sa.Column("detail", sa.String),
)
policies = sa.Table(
    "policies",
    every,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("text", sa.String, nullable=False),
)
decisions = sa.Table(
    "decisions",
    every,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("tick_id", sa.ForeignKey("ticks.id"), nullable=False, index=True),
    sa.Column("vault", sa.String, nullable=False, index=True),
    sa.Column("decision_id", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),  # hold, rebalance, refuse
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("words", sa.LargeBinary, nullable=False),  # zlib
    sa.Column("policy_hash", sa.ForeignKey("policies.hash"), nullable=False),
    sa.Column("memory_before", sa.String, nullable=False),
    sa.Column("memory_after", sa.String, nullable=False),
    sa.Column("plan", sa.LargeBinary),
    sa.Column("figures", sa.String, nullable=False),  # JSON
    sa.Column("objection", sa.String),  # why it was not sent
)
transactions = sa.Table(
    "transactions",
    every,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("decision_row", sa.ForeignKey("decisions.id"), nullable=False),
    sa.Column("decision_id", sa.String, nullable=False, index=True),
    sa.Column("vault", sa.String, nullable=False),
    sa.Column("book", sa.String, nullable=False),
    sa.Column("sender", sa.String, nullable=False),
    sa.Column("plan_nonce", sa.Integer, nullable=False),
    sa.Column("plan_deadline", sa.Integer, nullable=False),
    sa.Column("calldata", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("planned_at", sa.Integer, nullable=False),  # chain time
    sa.Column("account_nonce", sa.Integer),
    sa.Column("tx_hash", sa.String, index=True),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("gas_limit", sa.Integer),
    sa.Column("max_fee", sa.Integer),
    sa.Column("priority_fee", sa.Integer),
    sa.Column("sends", sa.Integer, nullable=False, default=0),
    sa.Column("block_number", sa.Integer),
    sa.Column("block_hash", sa.String),
    sa.Column("succeeded", sa.Boolean),
    sa.Column("gas_used", sa.Integer),
    sa.Column("effective_gas_price", sa.Integer),
    sa.Column("detail", sa.String),
)
steps = sa.Table(
    "steps",
    every,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("transaction_id", sa.ForeignKey("transactions.id"), nullable=False, index=True),
    sa.Column("state_before", sa.String),
    sa.Column("state_after", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),  # wall clock
    sa.Column("detail", sa.String),
)
absences = sa.Table(
    "absences",  # of a transaction whose nonce is used, or that is refused now
    every,
    sa.Column("transaction_id", sa.ForeignKey("transactions.id"), primary_key=True),
    sa.Column("block_number", sa.Integer, nullable=False),  # the head when it was first missed
)
