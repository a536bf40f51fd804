"""Sizes and arrival times of calls, in the shape of two production services.

The quantiles are computed from the Azure LLM inference trace 2023 (28,183 requests to a code and a
conversation service; github.com/Azure/AzurePublicDataset, CC-BY 4.0). To cite: Patel et al.,
"Splitwise: Efficient generative LLM inference using phase splitting", ISCA 2024. Only quantiles
are kept; which tenant, agent and model makes a call is ours. It must not draw random numbers: the
caller passes a fraction.
"""

from __future__ import annotations

from bisect import bisect_right

Table = tuple[float, ...]

AT: Table = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""The quantiles that every table below gives, in order; the last value is the 99.9 % quantile,
since a single outlier of a trace is not a property of traffic.
"""

CONTEXT_TOKENS: dict[str, Table] = {
    "code": (3, 75, 147, 386, 770, 1075, 1469, 1909, 2433, 3192, 5186, 7302, 7436, 7437),
    "conversation": (2, 181, 207, 387, 403, 703, 1020, 1071, 1130, 1315, 2734, 4083, 4142, 6212),
}
GENERATED_TOKENS: dict[str, Table] = {
    "code": (6, 6, 7, 8, 9, 11, 13, 16, 20, 29, 55, 90, 252, 824),
    "conversation": (7, 41, 54, 77, 91, 103, 129, 177, 384, 400, 424, 451, 601, 954),
}
GAP: Table = (
    0.0, 0.035, 0.089, 0.202, 0.336, 0.483, 0.655, 0.877, 1.181, 1.597, 2.327, 3.126, 4.916, 7.914,
)  # fmt: skip
"""Time between two arrivals of the conversation service, in units of its mean."""


def quantile(table: Table, fraction: float) -> float:
    """Return the value at a fraction in [0, 1], linear between the quantiles kept."""
    if fraction >= 1:
        return table[-1]
    index = bisect_right(AT, fraction) - 1
    low, high = AT[index], AT[index + 1]
    part = (fraction - low) / (high - low)
    return table[index] + part * (table[index + 1] - table[index])


def context_tokens(service: str, fraction: float) -> int:
    """Return the size of a prompt, in tokens."""
    return max(1, round(quantile(CONTEXT_TOKENS[service], fraction)))


def generated_tokens(service: str, fraction: float) -> int:
    """Return the size of an answer, in tokens."""
    return max(1, round(quantile(GENERATED_TOKENS[service], fraction)))


def gap_s(rate: float, fraction: float) -> float:
    """Return the seconds until the next arrival at so many arrivals a second on average."""
    return quantile(GAP, fraction) / rate
