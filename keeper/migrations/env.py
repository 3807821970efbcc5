# SPDX-License-Identifier: MIT
"""Alembic runs this: the connection, in a transaction, comes from `keeper.database`."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
