# SPDX-License-Identifier: MIT
"""
How a journal of any earlier version becomes one of the newest, by Alembic.

Each version adds and loosens, and takes nothing away, so that a keeper of the version before that
still runs goes on. A version that has been released never changes.
"""
