# SPDX-License-Identifier: MIT
"""
Risk measures, statistics and target ratios, in floats: for studies and reports, never on the path
of a transaction. `keeper.band` holds what the decision itself may use, in integers.
"""
