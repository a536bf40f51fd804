"""The one rounding of money, by columns: equal to `core.money.line_nanos`, integers only."""

from __future__ import annotations

import numpy as np

from outlay.core.money import MAX_NANOS, RATE_SCALE, line_nanos
from outlay.core.rating import MAX_LINE_NANOS
from outlay.enrich.price_keys import Ints, Mask


def round_lines(counts: Ints, per_million: Ints) -> Ints:
    """Price lines as `core.money.line_nanos` does; no product may pass 63 bits."""
    product = counts * per_million
    nanos = product // RATE_SCALE
    twice = 2 * (product - nanos * RATE_SCALE)
    nanos += (twice > RATE_SCALE) | ((twice == RATE_SCALE) & ((nanos & 1) == 1))
    return nanos


def round_any(counts: Ints, per_million: Ints) -> tuple[Ints, Mask]:
    """Do the same for any numbers; amounts beyond `MAX_LINE_NANOS` are 0 and marked."""
    fits = np.abs(counts) <= MAX_NANOS // np.maximum(np.abs(per_million), 1)
    amounts = round_lines(np.where(fits, counts, 0), per_million)
    absurd: Mask = np.abs(amounts) > MAX_LINE_NANOS
    for place in np.flatnonzero(~fits).tolist():
        exact = line_nanos(int(counts[place]), int(per_million[place]))
        absurd[place] = abs(exact) > MAX_LINE_NANOS
        amounts[place] = 0 if absurd[place] else exact
    amounts[absurd] = 0
    return amounts, absurd
