# SPDX-License-Identifier: MIT
"""Market paths and models; the only part of the package, with reports, that may use floats."""
