"""websocket-client: the oldest Python client, blocking, without compression."""

from __future__ import annotations

import struct

from clients.base import TIMEOUT, End, Message
from websocket import ABNF, create_connection


class WebsocketClient:
    def __init__(self, ca_file: str) -> None:
        self._tls = {"ca_certs": ca_file}
        self._end: End | None = None

    def open(self, url: str, subprotocols: list[str]) -> None:
        self._socket = create_connection(
            url, timeout=TIMEOUT, subprotocols=subprotocols, sslopt=self._tls
        )
        self._end = None
        self.extensions = self._socket.getheaders().get("sec-websocket-extensions", "")
        self.subprotocol = self._socket.subprotocol

    def send(self, message: Message) -> None:
        if isinstance(message, str):
            self._socket.send(message)
        else:
            self._socket.send_binary(message)

    def send_fragments(self, messages: list[Message]) -> None:
        opcode = ABNF.OPCODE_TEXT if isinstance(messages[0], str) else ABNF.OPCODE_BINARY
        for index, message in enumerate(messages):
            last = index == len(messages) - 1
            data = message.encode() if isinstance(message, str) else message
            frame = ABNF.create_frame(data, opcode if index == 0 else ABNF.OPCODE_CONT, int(last))
            self._socket.send_frame(frame)

    def receive(self) -> Message:
        opcode, data = self._socket.recv_data()
        return data.decode() if opcode == ABNF.OPCODE_TEXT else data

    def ping(self, payload: bytes) -> bytes:
        self._socket.ping(payload)
        opcode, frame = self._socket.recv_data_frame(control_frame=True)
        assert opcode == ABNF.OPCODE_PONG, opcode
        return frame.data

    # recv_data() answers a Close with a Close even where it answers ours, into a socket that the
    # server may have closed; so the end is read frame by frame.

    def close(self, code: int, reason: str) -> None:
        self._socket.send_close(code, reason.encode())
        self._end = self._read_close()
        self._socket.shutdown()

    def wait_closed(self) -> End:
        if self._end is None:
            self._end = self._read_close()
            self._socket.send_close(self._end.code)
            self._socket.shutdown()
        return self._end

    def _read_close(self) -> End:
        frame = self._socket.recv_frame()
        while frame.opcode == ABNF.OPCODE_PING:
            frame = self._socket.recv_frame()
        assert frame.opcode == ABNF.OPCODE_CLOSE, frame
        (code,) = struct.unpack("!H", frame.data[:2])
        return End(code, frame.data[2:].decode())

    def stop(self) -> None:
        self._socket.shutdown()
