# SPDX-License-Identifier: MIT
"""Off-chain keeper of the hedging vault."""

__version__ = "0.1.0"
