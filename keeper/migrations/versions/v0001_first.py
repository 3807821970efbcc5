# SPDX-License-Identifier: MIT
"""The tables as they were before versions were counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "meta",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
    op.create_table(
        "ticks",
        sa.Column("id", number, primary_key=True),
        sa.Column("job", sa.String, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("block_number", number),
        sa.Column("block_hash", sa.String),
        sa.Column("parent_hash", sa.String),
        sa.Column("block_at", number),
        sa.Column("requests", number),
        sa.Column("result", sa.String),
        sa.Column("detail", sa.String),
    )
    op.create_table(
        "policies",
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
    )
    _create_decisions()
    _create_transactions()
    op.create_table(
        "steps",
        sa.Column("id", number, primary_key=True),
        sa.Column(
            "transaction_id", number, sa.ForeignKey("transactions.id"), nullable=False, index=True
        ),
        sa.Column("state_before", sa.String),
        sa.Column("state_after", sa.String, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("detail", sa.String),
    )
    op.create_table(
        "absences",
        sa.Column("transaction_id", number, sa.ForeignKey("transactions.id"), primary_key=True),
        sa.Column("block_number", number, nullable=False),
    )


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", number, primary_key=True),
        sa.Column("tick_id", number, sa.ForeignKey("ticks.id"), nullable=False, index=True),
        sa.Column("vault", sa.String, nullable=False, index=True),
        sa.Column("decision_id", sa.String, nullable=False, index=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("words", sa.LargeBinary, nullable=False),
        sa.Column("policy_hash", sa.String, sa.ForeignKey("policies.hash"), nullable=False),
        sa.Column("memory_before", sa.String, nullable=False),
        sa.Column("memory_after", sa.String, nullable=False),
        sa.Column("plan", sa.LargeBinary),
        sa.Column("figures", sa.String, nullable=False),
        sa.Column("objection", sa.String),
    )


def _create_transactions() -> None:
    op.create_table(
        "transactions",
        sa.Column("id", number, primary_key=True),
        sa.Column("decision_row", number, sa.ForeignKey("decisions.id"), nullable=False),
        sa.Column("decision_id", sa.String, nullable=False, index=True),
        sa.Column("vault", sa.String, nullable=False),
        sa.Column("book", sa.String, nullable=False),
        sa.Column("sender", sa.String, nullable=False),
        sa.Column("plan_nonce", number, nullable=False),
        sa.Column("plan_deadline", number, nullable=False),
        sa.Column("calldata", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("planned_at", number, nullable=False),
        sa.Column("account_nonce", number),
        sa.Column("tx_hash", sa.String, index=True),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("gas_limit", number),
        sa.Column("max_fee", number),
        sa.Column("priority_fee", number),
        sa.Column("sends", number, nullable=False),
        sa.Column("block_number", number),
        sa.Column("block_hash", sa.String),
        sa.Column("succeeded", sa.Boolean),
        sa.Column("gas_used", number),
        sa.Column("effective_gas_price", number),
        sa.Column("detail", sa.String),
    )
