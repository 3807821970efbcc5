# SPDX-License-Identifier: MIT
"""Brownie scripts for depositors, operators and the demo."""
