"""Medians, their intervals, and ratios per round."""

from __future__ import annotations

from math import comb
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
FEWEST = 6  # below it not even the extremes are a 95 % interval of the median: 1 - 2 / 2**5 < 0.95


def coverage(n: int, rank: int) -> float:
    """How surely the true median lies between the rank-th smallest and largest of n values."""
    return 1 - 2 * sum([comb(n, k) for k in range(rank)]) / (1 << n)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the median with 95 % confidence.

    Exact for any distribution of independent rounds (binomial, two-sided). With fewer than
    ``FEWEST`` values there is no such pair and the extremes are returned.
    """
    ranked = sorted(values)
    n = len(ranked)
    rank = 1
    while rank < n - rank and coverage(n, rank + 1) >= CONFIDENCE:
        rank += 1
    return ranked[rank - 1], ranked[n - rank]


def ratio(of: Sequence[float], to: Sequence[float]) -> tuple[float, float, float]:
    """How many times cheaper ``of`` is than ``to``: (median, low, high) of the rounds' ratios.

    The n-th values of both were measured back to back in one round.
    """
    ratios = [b / a for a, b in zip(of, to, strict=True)]
    return median(ratios), *interval(ratios)
