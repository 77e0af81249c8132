"""Every host, plain and with wsfast active: one raw peer has all conversations of ``scenarios.py``
with it, and what comes back and what the application sees must be the same, byte for byte.

Each host runs once in each mode, three at a time. A host that is not installed is a visible skip,
unless WSFAST_EXPECT_HOSTS lists it: then tests/conftest.py ends the session.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest

import pytest
from scenario_hosts.registry import HOSTS, absent
from scenario_runner import MODES, Performance, perform
from scenarios import ALPHABETS, OFFERS

HAS_C = importlib.util.find_spec("wsfast._codec_c") is not None
SHOWN = 5  # scenarios of a mismatch that are printed

Performances = Callable[[str, str], Performance]


def cases() -> list[tuple[str, str]]:
    return [
        (name, mode)
        for name, host in HOSTS.items()
        for mode, (_, backend) in MODES.items()
        if mode != "plain" and (mode != "cork" or host.cork) and (backend != "c" or HAS_C)
    ]


@pytest.fixture(scope="session")
def performances(request: pytest.FixtureRequest) -> Iterator[Performances]:
    """``performances(host, mode)``; those of all selected tests begin when the first is wanted."""
    wanted: dict[tuple[str, str], None] = {}
    for item in request.session.items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        name = params.get("scenario_host")
        if name is not None and not absent(HOSTS[name].requires):
            wanted[name, "plain"] = None
            wanted[name, params.get("mode", "plain")] = None
    with ThreadPoolExecutor(3) as pool:
        futures: dict[tuple[str, str], Future[Performance]] = {
            case: pool.submit(perform, *case) for case in wanted
        }
        yield lambda name, mode: futures[name, mode].result()
        pool.shutdown(cancel_futures=True)


def present(name: str) -> None:
    if missing := absent(HOSTS[name].requires):
        pytest.skip(f"there is no {', '.join(missing)}")


@pytest.mark.parametrize("scenario_host", HOSTS)
def test_the_peer_and_the_host_understand_each_other(
    scenario_host: str, performances: Performances
) -> None:
    """What the other test compares is not two times nothing."""
    present(scenario_host)
    host, plain = HOSTS[scenario_host], performances(scenario_host, "plain")
    lines = plain.transcripts["echo-alphabets"]
    for text in ALPHABETS.values():
        assert [line for line in lines if f"| bytes {text.encode()!r}" in line]
        assert [line for line in lines if line.startswith("received") and repr(text) in line]
    for offer in OFFERS:
        agreed = plain.transcripts[f"deflate-echo-{offer}"][1]
        assert ("permessage-deflate" in agreed) is host.deflate
    assert not plain.report["imported"], "wsfast is in a process that did not ask for it"


@pytest.mark.parametrize(("scenario_host", "mode"), cases())
def test_the_same(scenario_host: str, mode: str, performances: Performances) -> None:
    present(scenario_host)
    host, plain = HOSTS[scenario_host], performances(scenario_host, "plain")
    active = performances(scenario_host, mode)
    assert active.report["states"][host.driver] == "active"
    assert active.report["backend"].partition("-")[0] == MODES[mode][1]
    assert active.report["hits"][host.driver] > 0
    wrong = [name for name, lines in plain.transcripts.items() if active.transcripts[name] != lines]
    if wrong:
        pytest.fail(
            f"{len(wrong)} of {len(plain.transcripts)} scenarios differ:\n"
            + "\n".join(
                difference(name, plain.transcripts[name], active.transcripts[name])
                for name in wrong[:SHOWN]
            ),
            pytrace=False,
        )
    assert active.report["logged"].keys() == plain.report["logged"].keys()


def difference(name: str, plain: list[str], active: list[str]) -> str:
    """The scenario's name, the first event that differs, and the two before it."""
    pairs = list(zip_longest(plain, active, fillvalue="(nothing)"))
    at = next(i for i, (one, other) in enumerate(pairs) if one != other)
    context = [f"    {line}" for line in plain[max(0, at - 2) : at]]
    return "\n".join([name, *context, f"  - {pairs[at][0]}", f"  + {pairs[at][1]}"])


def test_the_difference_is_shown() -> None:
    assert difference("name", ["a", "b", "c", "d"], ["a", "b", "c"]).splitlines() == [
        "name",
        "    b",
        "    c",
        "  - d",
        "  + (nothing)",
    ]
