# SPDX-License-Identifier: MIT
"""From numbers to what a page shows. Pure: no chain, no journal, no clock."""
