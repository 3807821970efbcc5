# SPDX-License-Identifier: MIT
"""What several of these tests start."""

from __future__ import annotations

from tests.postgres_server import fragile, postgres

__all__ = ["fragile", "postgres"]
