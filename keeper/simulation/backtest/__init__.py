# SPDX-License-Identifier: MIT
"""Vault, venue and market over a path of hours: an exact engine and a fast one beside it."""
