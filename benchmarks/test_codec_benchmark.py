"""The same contenders under pytest-benchmark: ``pytest benchmarks --benchmark-only``.

Not part of the default run (``testpaths``). pytest-benchmark runs one contender after the other by
the wall clock, so compare figures of one run only, and take ratios from ``bench_codec.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
from cases import CASES, Case
from contenders import Offer, Wrong, ready
from offers import OFFERS

LOOPS = 100  # operations per call: the plugin's own call costs more than one of ours
PAIRS = [
    pytest.param(case, offer, id=f"{case.name}-{offer.name.replace(' ', '-')}")
    for case in CASES
    for offer in OFFERS
    if case.op in offer.ops and not offer.twin
]


@pytest.mark.parametrize(("case", "offer"), PAIRS)
def test_contender(case: Case, offer: Offer, benchmark: Any) -> None:
    """Delivers the right thing, and is timed: nanoseconds of ``LOOPS`` operations."""
    try:
        run = ready(offer, case).run
    except ImportError as exc:
        pytest.skip(str(exc))
    except Wrong as exc:
        pytest.fail(str(exc))
    benchmark.group = case.name
    benchmark.extra_info["delivers"] = offer.delivers
    benchmark.pedantic(run, args=(LOOPS,), rounds=20, warmup_rounds=2)
