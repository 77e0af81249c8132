"""The deadlines of a connection: keepalive, message, close (S25); time is an argument."""

import pytest

from wsfast.codec import FrameEncoder, MessageDecoder
from wsfast.connection import Connection, State
from wsfast.frames import Close, Limits, Role

pytestmark = pytest.mark.usefixtures("connection_backend")
SERVER, CLIENT = Role.SERVER, Role.CLIENT


def encoder(role=CLIENT, **options):
    return FrameEncoder(role, **options)


def sent(connection):
    """What the peer of ``connection`` makes of all there is to send."""
    peer = CLIENT if connection.role is SERVER else SERVER
    return MessageDecoder(peer).feed(b"".join(connection.data_to_send()))


def fail_name(connection):
    assert connection.state is State.FAILED
    return connection.failed.name


def test_no_deadline_without_reason():
    assert Connection(SERVER).next_deadline() is None
    assert Connection(SERVER, ping_timeout=1.0).next_deadline() is None


@pytest.mark.parametrize("arguments", [{"ping_interval": 0}, {"ping_timeout": -1.0}])
def test_intervals_are_positive(arguments):
    with pytest.raises(ValueError):
        Connection(SERVER, **arguments)


def test_keepalive():
    ours = Connection(SERVER, ping_interval=20, ping_timeout=5, now=100.0)
    assert ours.next_deadline() == 120
    assert ours.tick(119.9) == [] and ours.data_to_send() == []
    assert ours.tick(120) == [] and ours.next_deadline() == 125
    (ping,) = sent(ours)
    ours.receive(encoder().pong(b"unsolicited"))
    assert ours.next_deadline() == 125
    ours.receive(encoder().pong(ping.payload))
    assert ours.next_deadline() == 140
    ours.receive(encoder().pong(ping.payload))
    assert ours.next_deadline() == 140
    ours.tick(140.5)
    assert ours.next_deadline() == 145.5
    (event,) = ours.tick(146)
    assert event.name == fail_name(ours) == "too_slow"
    assert ours.close_sent == Close(1011, "keepalive ping timeout")
    assert ours.should_close_transport and ours.next_deadline() is None
    assert ours.tick(1000) == [] and len(sent(ours)) == 2


def test_keepalive_a_later_ping_may_be_answered_alone():
    """§5.5.3"""
    ours = Connection(SERVER, ping_interval=20, ping_timeout=5)
    ours.ping(b"before")
    ours.tick(20)
    ours.receive(encoder().pong(b"before"))
    assert ours.next_deadline() == 25
    ours.ping(b"after")
    ours.receive(encoder().pong(b"after"))
    assert ours.next_deadline() == 40


def test_keepalive_timeout_longer_than_the_interval():
    ours = Connection(SERVER, ping_interval=2, ping_timeout=50)
    ours.tick(2)
    assert ours.next_deadline() == 52  # one Ping at a time
    ours.receive(encoder().pong(sent(ours)[0].payload))
    assert ours.next_deadline() == 4  # which is past: at once
    ours.tick(30)
    assert len(sent(ours)) == 1 and ours.next_deadline() == 80


def test_keepalive_without_timeout():
    ours = Connection(SERVER, ping_interval=2)
    for now in (2, 4, 6):
        assert ours.next_deadline() == now and ours.tick(now) == []
    assert len(sent(ours)) == 3


def test_keepalive_ends_with_the_connection():
    for end in ("close", "receive", "fail"):
        ours = Connection(SERVER, ping_interval=2, limits=Limits(close_timeout=None))
        if end == "close":
            ours.close()
        else:
            ours.receive(encoder().close() if end == "receive" else b"\xff")
        assert ours.next_deadline() is None
        ours.data_to_send()
        assert ours.tick(100) == [] and ours.data_to_send() == []


@pytest.mark.parametrize("role", [SERVER, CLIENT])
def test_s25_close_timeout(role):
    ours = Connection(role, limits=Limits(close_timeout=3), now=10.0)
    ours.close()
    assert ours.next_deadline() == 10  # not started: as soon as possible
    assert ours.tick(11) == [] and ours.next_deadline() == 14
    assert ours.tick(13) == [] and not ours.should_close_transport
    (event,) = ours.tick(14)
    assert event.name == fail_name(ours) == "too_slow" and ours.should_close_transport
    assert sent(ours) == [Close(1000, "")] and ours.next_deadline() is None


@pytest.mark.parametrize("how", ["close", "closed", "failed"])
@pytest.mark.parametrize("now", [None, 20.0])
def test_s25_a_client_waits_for_the_server_so_long_and_no_longer(how, now):
    ours = Connection(CLIENT, limits=Limits(close_timeout=3))
    if how == "close":
        ours.close()
        ours.tick(20.0)
        ours.receive(encoder(SERVER).close(), 21.0)  # the time it has been waiting counts
    else:
        ours.receive(encoder(SERVER).close() if how == "closed" else b"\x8f\x00", now)
        if now is None:
            ours.tick(20.0)
    state = ours.state
    assert ours.next_deadline() == 23 and not ours.should_close_transport
    assert ours.tick(23) == [] and ours.should_close_transport
    assert ours.state is state and ours.next_deadline() is None


def test_s25_no_close_timeout():
    ours = Connection(CLIENT, limits=Limits(close_timeout=None))
    ours.receive(encoder(SERVER).close())
    assert ours.next_deadline() is None
    assert ours.tick(1e9) == [] and not ours.should_close_transport
    ours.receive_eof()
    assert ours.should_close_transport


@pytest.mark.parametrize("cut", [1, 2, 6, 8])
def test_s25_message_timeout(cut):
    """From the first byte of a message, be it only a header's, to its last."""
    ours = Connection(SERVER, limits=Limits(message_timeout=5))
    wire = encoder().text("hello")
    ours.receive(wire + wire[:cut], 10.0)
    assert ours.next_deadline() == 15
    ours.receive(wire[cut : cut + 1], 14.0)
    assert ours.next_deadline() == 15
    (event,) = ours.tick(15)
    assert event.name == "too_slow" and sent(ours) == [Close(1008, "message timeout")]
    assert ours.receive(wire[cut + 1 :], 15.0) == [] and ours.next_deadline() is None
    assert ours.receive_eof() == []


def test_message_timeout_is_per_message():
    ours = Connection(SERVER, limits=Limits(message_timeout=5))
    client = encoder()
    ours.receive(client.text("a", fin=False), 10.0)
    assert ours.next_deadline() == 15
    ours.receive(client.ping() + client.continuation("", fin=False), 13.0)  # no way to gain time
    assert ours.next_deadline() == 15
    ours.receive(client.continuation("b") + client.text("c", fin=False), 14.0)
    assert ours.next_deadline() == 19  # another message
    ours.receive(client.continuation("d"), 18.0)
    assert ours.next_deadline() is None
    ours.receive(client.text("e", fin=False))
    assert ours.next_deadline() == 0.0  # its clock starts at the next tick
    assert ours.tick(30) == [] and ours.next_deadline() == 35
    ours.close()
    ours.tick(31)
    assert ours.next_deadline() == 35
