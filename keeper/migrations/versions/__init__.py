# SPDX-License-Identifier: MIT
"""The versions of the journal's schema, in order."""
