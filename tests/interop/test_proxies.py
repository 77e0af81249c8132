"""Real proxies that terminate TLS, as docs/proxies.md has them, before each kind of server."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import ssl
import struct
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from clients.base import TIMEOUT, Client, End, Unavailable
from launch import Server, launch
from proxies.registry import HASTY, PROXIES
from proxies.running import find, running
from proxies.site import MOST, SERVERS, Site, end_of
from websockets.exceptions import ConnectionClosed, InvalidStatus

import wsfast

SHORT = ["", "a", "Grüße, ἐν ἀρχῇ 中文 👋🏽 \U0010ffff", b"", b"\x00", bytes(range(256))]
LENGTHS = [125, 126, 65_535, 65_536, MOST]
MESSAGES = [
    *SHORT,
    *("a" * length for length in LENGTHS),
    "😀" * (MOST // 4),
    *(random.Random(length).randbytes(length) for length in LENGTHS),
]
FRAGMENTS = [["Grü", "ße ", "", "👋", "."], [b"\x00" * 70_000, b"", b"\xff" * 10, b"\x80"]]
PAYLOADS = [b"", b"marco", bytes(range(125))]
ENDS = [End(code, "") for code in (1000, 1001, 1008, 1011, 1012, 1013)]
ENDS += [End(3001, "à bientôt 👋"), End(4999, "x" * 123)]
FAULTS = {
    "a reserved opcode": (b"\x83\x80\x00\x00\x00\x00", 1002),
    "a reserved bit": (b"\xa1\x80\x00\x00\x00\x00", 1002),
    "text that is none": (b"\x81\x81\x00\x00\x00\x00\xff", 1007),
}
HALF = {  # opening handshakes that never end: after TLS's own, or instead of it
    "nothing": (True, b""),
    "half a line": (True, b"GET / HT"),
    "half a head": (True, b"GET / HTTP/1.1\r\nHost: localhost\r\n"),
    "half of TLS": (False, b"\x16\x03\x01\x02\x00\x01\x00"),
    "silence": (False, b""),
}
PINGS = ("--ping-interval", str(HASTY / 8))
CLIENT = "127.0.0.2"  # which no server trusts to say who its client is


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 3 * TIMEOUT))


def launched(name: str, *arguments: str) -> Any:
    behind = SERVERS[name]
    backend = wsfast.backend().partition("-")[0]
    return launch(
        behind.script, *behind.arguments, *arguments, backend=backend, through=behind.through
    )


@pytest.fixture(scope="session")
def context(certificate: tuple[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate[1])


@pytest.fixture(scope="session")
def start_site(
    certificate: tuple[str, str], context: ssl.SSLContext
) -> Iterator[Callable[..., Site]]:
    """``start_site(proxy, server, *arguments, hasty=False)``, once for the session."""
    servers: dict[tuple[str, ...], Server] = {}
    sites: dict[tuple[object, ...], Site] = {}
    with ExitStack() as stack:

        def start(proxy: str, *server: str, hasty: bool = False) -> Site:
            if server not in servers:
                servers[server] = stack.enter_context(launched(*server))
            if (proxy, server, hasty) not in sites:
                proxied = running(proxy, servers[server].port, certificate[0], hasty)
                site = Site(stack.enter_context(proxied), servers[server], context)
                sites[proxy, server, hasty] = site
            return sites[proxy, server, hasty]

        yield start


@pytest.fixture
def site(request: pytest.FixtureRequest, proxy: str, start_site: Callable[..., Site]) -> Site:
    """The proxy before the server that the test's parametrization names."""
    return start_site(proxy, request.param)


def before(*servers: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("site", servers, indirect=True)


# ---- messages and closes ------------------------------------------------------------------------


@before(*SERVERS)
@pytest.mark.parametrize("compression", [None, "deflate"], ids=["plain", "deflate"])
def test_messages(site: Site, compression: str | None) -> None:
    async def main() -> None:
        async with site.dial(compression=compression) as client:
            agreed = [extension.name for extension in client.protocol.extensions]
            assert agreed == ["permessage-deflate"] * (compression is not None)
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            for message in SHORT * 10:
                await client.send(message)
            assert [await client.recv() for _ in SHORT * 10] == SHORT * 10
            for pieces in FRAGMENTS:
                await client.send(iter(pieces))
                assert await client.recv() == type(pieces[0])().join(pieces)
            for payload in PAYLOADS:
                await (await client.ping(payload))  # the Pong that answers this very Ping
        assert client.protocol.close_rcvd.code == 1000

    run(main())


@before("uvicorn")  # hypercorn's applications are not told the code
def test_the_client_closes(site: Site) -> None:
    connection_id = uuid.uuid4().hex

    async def main() -> None:
        async with site.dial(f"/?id={connection_id}") as client:
            await client.close(4002, "auf Wiederhören 👋")
            assert client.close_code == 4002

    run(main())
    assert site.ended(connection_id) == {"code": 4002, "reason": "auf Wiederhören 👋"}


@before("uvicorn", "hypercorn")
def test_the_application_closes(site: Site) -> None:
    async def main(end: End) -> End:
        query = urlencode({"code": end.code, "reason": end.reason})
        async with site.dial(f"/close?{query}") as client:
            await client.send("close, please")
            return await end_of(client)

    assert [run(main(end)) for end in ENDS] == ENDS


@before("production")
def test_the_application_fails(site: Site) -> None:
    async def main() -> End:
        async with site.dial() as client:
            await client.send("fail")
            return await end_of(client)

    assert run(main()) == End(1011, "")


@before("uvicorn", "production")  # hypercorn says no code
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told(site: Site, fault: str) -> None:
    frame, code = FAULTS[fault]

    async def main() -> End:
        async with site.dial() as client:
            client.transport.write(frame)
            return await end_of(client)

    assert run(main()).code == code


@before("uvicorn", "production")  # hypercorn's limit is 16 MiB
@pytest.mark.parametrize("length", [MOST + 1, 4 * MOST])
def test_a_message_above_the_limit_is_refused(site: Site, length: int) -> None:
    """While most of it is still under way: a server that just hangs up is reset, unheard."""

    async def main() -> int:
        async with site.dial(compression=None) as client:
            with suppress(ConnectionClosed):
                await client.send(bytes(length))
            return (await end_of(client)).code

    assert [run(main()) for _ in range(10)] == [1009] * 10


async def vanish(site: Site, path: str = "/") -> None:
    """A client is gone, and the rest of its message with it."""
    async with site.dial(path) as client:
        client.transport.write(b"\x82\xff" + struct.pack("!Q", MOST) + bytes(100_000))
        await asyncio.sleep(0.1)
        client.transport.abort()


@before("uvicorn", "hypercorn")
def test_the_application_learns_that_the_client_is_gone(site: Site) -> None:
    connection_id = uuid.uuid4().hex
    run(vanish(site, f"/?id={connection_id}"))
    assert site.ended(connection_id)["code"] in (1005, 1006)  # the hosts' own words for it


@before("production")
def test_the_server_forgets_a_client_that_is_gone(site: Site) -> None:
    async def main() -> None:
        await vanish(site)
        async with site.dial() as client:
            answer = None
            while answer != "1":
                await client.send("how many?")
                answer = await client.recv()

    run(main())


# ---- deadlines ----------------------------------------------------------------------------------


class Waited(NamedTuple):
    kept: dict[str, str]  # by server: what is echoed after twice the proxy's time-out
    silent: tuple[int, float] | None  # how and when a connection without Pings ended by then
    half: dict[str, float | None]  # by name: after how long a half-open handshake was cut
    dripping: float | None
    uvicorn: float | None  # the same, of uvicorn itself


@pytest.fixture
def waited(proxy: str, request: pytest.FixtureRequest) -> Waited:
    found: dict[str, Waited] = request.getfixturevalue("all_waited")  # once it is known to be here
    return found[proxy]


@pytest.fixture(scope="session")
def all_waited(start_site: Callable[..., Site]) -> dict[str, Waited]:
    """All that takes its time, of all proxies at once."""
    sites = {}
    for proxy in present():
        pinging = {name: start_site(proxy, name, *PINGS, hasty=True) for name in SERVERS}
        sites[proxy] = start_site(proxy, "uvicorn", hasty=True), pinging

    async def main() -> list[Waited]:
        return await asyncio.gather(*(wait(*some) for some in sites.values()))

    return dict(zip(sites, run(main())))


def present() -> list[str]:
    found = []
    for name, entry in PROXIES.items():
        try:
            find(entry)
        except Unavailable:
            continue
        found.append(name)
    return found


async def wait(site: Site, pinging: dict[str, Site]) -> Waited:
    kept = asyncio.gather(*map(idle, pinging.values()))
    half = asyncio.gather(*(cut(site, tls, data) for tls, data in HALF.values()))
    tls, head = HALF["half a head"]
    silent, dripping, uvicorn = await asyncio.gather(
        unasked(site), cut(site, tls, head, b"x"), cut(site, False, head, proxied=False)
    )
    return Waited(
        dict(zip(pinging, await kept)), silent, dict(zip(HALF, await half)), dripping, uvicorn
    )


async def idle(site: Site) -> str:
    async with site.dial() as client:
        await asyncio.sleep(2 * HASTY)
        await client.send("still here")
        return await client.recv()


async def unasked(site: Site) -> tuple[int, float] | None:
    async with site.dial() as client:
        started = time.monotonic()
        try:
            async with asyncio.timeout(2 * HASTY):
                return (await end_of(client)).code, time.monotonic() - started
        except TimeoutError:
            return None


async def cut(
    site: Site, tls: bool, data: bytes, drip: bytes = b"", proxied: bool = True
) -> float | None:
    """After how many seconds a client that sends no more, or a little at a time, is hung up on."""
    port = site.proxy.port if proxied else site.server.port
    secured = site.context if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=secured)
    writer.write(data)
    started = time.monotonic()
    ended = asyncio.create_task(reader.read())
    while not ended.done() and time.monotonic() < started + 2 * HASTY:
        await asyncio.wait([ended], timeout=0.1)
        writer.write(drip)
    lasted = time.monotonic() - started if ended.done() else None
    writer.transport.abort()
    await asyncio.gather(ended, return_exceptions=True)
    return lasted


def test_pings_keep_an_idle_connection(waited: Waited) -> None:
    assert waited.kept == dict.fromkeys(SERVERS, "still here")


def test_an_idle_connection_without_pings_is_cut(proxy: str, waited: Waited) -> None:
    if PROXIES[proxy].cuts_idle:
        assert waited.silent is not None
        code, lasted = waited.silent
        assert code == 1006 and lasted > 0.9 * HASTY
    else:
        assert waited.silent is None


def test_half_open_handshakes_are_cut(proxy: str, waited: Waited) -> None:
    for name, lasted in (*waited.half.items(), ("dripping", waited.dripping)):
        if name == "silence" and not PROXIES[proxy].sees_silence:
            assert lasted is None
        else:
            assert lasted is not None and lasted > HASTY / 2, name


def test_uvicorn_itself_cuts_no_half_open_handshake(waited: Waited) -> None:
    """What the proxy's deadline is for. Where this fails, docs/security.md can promise more."""
    assert waited.uvicorn is None


def test_a_client_that_answers_no_ping_is_found_out(
    proxy: str, start_site: Callable[..., Site]
) -> None:
    """TCP's answers are the proxy's: without Pings the server would never know."""
    site = start_site(proxy, "uvicorn", *PINGS, "--ping-timeout", "0.5")
    connection_id = uuid.uuid4().hex

    async def main() -> None:
        async with site.dial(f"/?id={connection_id}") as client:
            client.transport.pause_reading()
            await asyncio.to_thread(site.ended, connection_id)
            client.transport.abort()

    run(main())


# ---- reloads and ends ---------------------------------------------------------------------------


def test_the_proxy_is_reloaded(
    proxy: str,
    start_site: Callable[..., Site],
    certificate: tuple[str, str],
    context: ssl.SSLContext,
) -> None:
    """In the middle of a message; new connections find the new one."""
    server = start_site(proxy, "uvicorn").server

    async def main(site: Site) -> str | int:
        async with site.dial() as client:

            async def pieces():
                yield "half, "
                await asyncio.to_thread(site.proxy.reload)
                async with site.dial() as later:
                    await later.send("later")
                    assert await later.recv() == "later"
                yield "and half"

            try:
                await client.send(pieces())
                return await client.recv()
            except ConnectionClosed:
                return client.close_code

    with running(proxy, server.port, certificate[0]) as own:
        found = run(main(Site(own, server, context)))
    assert found == ("half, and half" if PROXIES[proxy].kept_on_reload else 1001)


@pytest.mark.parametrize("name, code", [("uvicorn", 1012), ("production", 1001)])
def test_the_server_ends(
    proxy: str, certificate: tuple[str, str], context: ssl.SSLContext, name: str, code: int
) -> None:
    async def main(site: Site) -> End:
        async with site.dial() as client:
            await client.send("before")
            assert await client.recv() == "before"
            os.kill(site.server.pid, signal.SIGTERM)
            return await end_of(client)

    with launched(name) as server, running(proxy, server.port, certificate[0]) as own:
        assert run(main(Site(own, server, context))) == End(code, "")


# ---- who the client is --------------------------------------------------------------------------


@before("uvicorn", "hypercorn")
def test_what_the_application_sees(site: Site) -> None:
    """Of its client, and of one that says to be somebody else."""
    false = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
    options = {"subprotocols": ["one", "two"], "origin": "https://example.com"}

    async def main() -> dict[str, Any]:
        async with site.dial() as client:
            await client.send("for hits")
            await client.recv()
        async with site.dial(
            "/seen", additional_headers=false, local_addr=(CLIENT, 0), **options
        ) as client:
            assert client.subprotocol == "one"
            return json.loads(await client.recv())

    seen = run(main())
    headers = [tuple(field) for field in seen["headers"]]
    names = ("host", "origin", "x-forwarded-for", "x-forwarded-proto")
    assert sorted(field for field in headers if field[0] in names) == [
        ("host", site.place),
        ("origin", "https://example.com"),
        ("x-forwarded-for", CLIENT),
        ("x-forwarded-proto", "https"),
    ]
    if site.server.protocol == "hypercorn":
        assert seen["hits"]["wsproto"] > 0
    else:
        assert (seen["client"], seen["scheme"]) == (CLIENT, "wss")


@before("production")
def test_pages_of_other_sites_stay_out(site: Site) -> None:
    """And those of the site itself, whose Host has to get through, do not."""

    async def main(origin: str | None) -> int:
        try:
            async with site.dial(origin=origin):
                return 101
        except InvalidStatus as exc:
            return exc.response.status_code

    assert run(main(None)) == 101
    assert run(main(f"https://{site.place}")) == 101
    assert run(main("https://example.com")) == 403


@before("production")
def test_the_connections_of_a_client_are_bounded(proxy: str, site: Site) -> None:
    most = PROXIES[proxy].most_connections

    async def main() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(most or 60):
                await stack.enter_async_context(site.dial(local_addr=("127.0.0.3", 0)))
            if most is not None:
                with pytest.raises((InvalidStatus, OSError)):
                    await site.dial(local_addr=("127.0.0.3", 0))

    run(main())


# ---- the browser --------------------------------------------------------------------------------


@pytest.mark.chromium
def test_chromium(
    proxy: str, start_site: Callable[..., Site], start_client: Callable[[str], Client]
) -> None:
    site = start_site(proxy, "uvicorn", *PINGS, hasty=True)
    browser = start_client("chromium")
    browser.open(f"wss://{site.place}/", ["wsfast.test"])
    assert browser.subprotocol == "wsfast.test"
    assert browser.extensions.startswith("permessage-deflate")
    for message in MESSAGES:
        browser.send(message)
        assert browser.receive() == message
    if PROXIES[proxy].http2:
        time.sleep(1.5 * HASTY)  # a time-out of HTTP/2 itself would end it, too
        browser.send("still here")
        assert browser.receive() == "still here"
        browser.close(1000, "")
        assert PROXIES[proxy].http2 in site.proxy.log()
    browser.open(f"wss://{site.place}/close?code=4001&reason=yes", [])
    browser.send("close, please")
    assert browser.wait_closed() == End(4001, "yes")
