"""Takes our guards against hostile peers out, one at a time, and demands that their tests turn red.

    python tests/guards.py [WORD…]      all, or those whose name contains one of the words

Each guard names the row of docs/security.md it stands for; only the tests of that row are run, and
at least one must fail. Works in copies, as mutants.py does. Exits 1 if a guard is not missed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from mutants import Workshop, demand, in_turn


class Guard(NamedTuple):
    row: str  # the tests are those called test_ROW_…
    name: str
    file: str
    line: str  # what is there, exactly once
    broken: str


C, TWIN, HOST = "csrc/decoder.c", "wsfast/_reader_py.py", "wsfast/uvicorn"
INFLATER, INFLATER_TWIN = "wsfast/_deflate_c.pyx", "wsfast/_deflate_py.py"

GUARDS = [
    Guard("s01", "zlib is told how much, C", INFLATER,
          "room = ROOM_OBJECT if most >= ROOM else most", "room = 1 << 30"),
    Guard("s01", "zlib is told how much, twin", INFLATER_TWIN,
          "room = most if most < _ROOM else _ROOM", "room = 1 << 30"),
    Guard("s01", "refused before it is joined, C", INFLATER, "if room <= 0:", "if False:"),
    Guard("s01", "refused before it is joined, twin", INFLATER_TWIN, "if room <= 0:", "if False:"),
    Guard("s01", "ratio, C", INFLATER, "wrote > self.max_ratio * read", "False"),
    Guard("s01", "ratio, twin", INFLATER_TWIN, "wrote > ratio * read", "False"),
    Guard("s01", "limit of the message, twin", "wsfast/_codec_py.py",
          "limit - len(self._message)", "limit"),
    Guard("s01", "limit of the message, C", "wsfast/_codec_c.pyx",
          "limit -= self.size", "limit -= 0"),
    Guard("s01", "uvicorn hands on the ratio", f"{HOST}/_protocol.py",
          "inflater(self._limits.max_ratio)", "inflater(None)"),
    Guard("s02", "one byte more is asked for, C", "wsfast/_codec_c.pyx",
          "PY_SSIZE_T_MAX - 1) + 1)", "PY_SSIZE_T_MAX - 1))"),
    Guard("s02", "one byte more is asked for, twin", INFLATER_TWIN, "else limit + 1", "else limit"),
    Guard("s03", "fragments, C", C, "return d->fragments >= d->limits.max_fragments ?",
          "return 0 ?"),
    Guard("s03", "fragments, twin", TWIN, "self.fragments >= most", "False"),
    Guard("s04", "message_timeout, Connection", "wsfast/_deadlines.py",
          "elif self._message is None or completed:", "elif False:"),
    Guard("s04", "input gains no time", "wsfast/_deadlines.py",
          "elif self._message is None or completed:", "else:"),
    Guard("s04", "message_timeout, uvicorn", f"{HOST}/_input.py", "if timeout is not None:",
          "if False:"),
    Guard("s04", "our pause is not the peer's", f"{HOST}/_message_timer.py",
          "self._held = held", "self._held = False"),
    Guard("s05", "geometric growth, C", "wsfast/_codec_c.pyx",
          "capacity = 2 * self.capacity", "capacity = self.capacity + 1"),
    Guard("s05", "a head is searched once", "wsfast/_http.py", "self._seen = stop",
          "self._seen = 0"),
    Guard("s06", "no trust in lengths, C", "wsfast/_codec_c.pyx",
          "<Py_ssize_t>min(expected, <uint64_t>FIRST_RESERVE)",
          "<Py_ssize_t>min(expected, <uint64_t>1 << 22)"),
    Guard("s06", "limit at the header, C", C,
          "frame->length > d->limits.max_message - (cont ? d->received : 0)", "0"),
    Guard("s06", "limit at the header, twin", TWIN, "if length > limits.max_message - so_far:",
          "if False:"),
    Guard("s06", "max_frame, C", C, "if (frame->length > d->limits.max_frame)", "if (0)"),
    Guard("s06", "max_frame, twin", TWIN, "length > limits.max_frame", "False"),
    Guard("s07", "top bit, C", "csrc/frame.c", "if (frame->length >> 63 &&", "if (0 &&"),
    Guard("s07", "top bit, twin", "wsfast/_kernels_py.py",
          'if length >> 63 and policy.msb != "accept":', "if False:"),
    Guard("s07", "subtraction, C", C,
          "frame->length > d->limits.max_message - (cont ? d->received : 0)",
          "(int64_t)(frame->length + (cont ? d->received : 0)) > (int64_t)d->limits.max_message"),
    Guard("s08", "minimal length, C", "csrc/frame.c", "if (policy->minimal_length &&", "if (0 &&"),
    Guard("s08", "minimal length, twin", "wsfast/_kernels_py.py",
          "if policy.minimal_length and", "if False and"),
    Guard("s09", "RSV by role of the frame, C", "csrc/frame.c", "(starts_message ? ~rsv : 7)",
          "~rsv & 7"),
    Guard("s09", "RSV, twin", "wsfast/_kernels_py.py",
          "rsv if opcode in (Opcode.TEXT, Opcode.BINARY) else 0", "rsv"),
    Guard("s10", "control frames end no message, C", C,
          "d->frame.opcode < WSF_CLOSE && d->frame.fin", "d->frame.fin"),
    Guard("s10", "control frames end no message, twin", TWIN,
          "elif self.opcode < 8 and self.fin:", "elif self.fin:"),
    Guard("s11", "life after a final block, C", INFLATER,
          "if context.eof or PyBytes", "if PyBytes"),
    Guard("s11", "life after a final block, twin", INFLATER_TWIN,
          "if context.eof or len(out) == room:", "if len(out) == room:"),
    Guard("s11", "floods of final blocks, C", INFLATER,
          "if self.finals > MAX_FINAL_BLOCKS or", "if"),
    Guard("s11", "floods of final blocks, twin", INFLATER_TWIN,
          "if self._finals > _MAX_FINAL_BLOCKS or", "if"),
    Guard("s11", "our tail is nobody's data, C", INFLATER,
          " or (pos > end and self.cut_off(data, pos, end)):", ":"),
    Guard("s11", "our tail is nobody's data, twin", INFLATER_TWIN,
          " or cut_off:", ":"),
    Guard("s12", "twice is not once", "wsfast/deflate.py", "if name in found:", "if False:"),
    Guard("s12", "8 is declined", "wsfast/deflate.py",
          "if ours == 8:", "if False:"),
    Guard("s12", "range of window bits", "wsfast/deflate.py", "range(8, 16)", "range(8, 17)"),
    Guard("s13", "exact check, C", "csrc/utf8.c", "c == 0xF4 ? 0x8F", "c == 0xF4 ? 0x9F"),
    Guard("s13", "fail fast, twin", "wsfast/_codec_py.py",
          '(final or self._check == "fail_fast")', "final"),
    Guard("s13", "fail fast, C", "wsfast/_codec_c.pyx", "(final or self.fail_fast)", "final"),
    Guard("s13", "the end within a character, C", "wsfast/_codec_c.pyx",
          "if final and not self.has_fault and self.utf8.held:", "if False:"),
    Guard("s14", "codes, C", "csrc/close.c", "code >= 1007 && code <= 1014",
          "code >= 1004 && code <= 1015"),
    Guard("s14", "codes, twin", "wsfast/_kernels_py.py", "code <= 1014", "code <= 1015"),
    Guard("s14", "a length of one, C", "csrc/close.c", "if (n == 1)", "if (n == 9999)"),
    Guard("s14", "nothing after a Close, C", C, "if (d->closed)", "if (0)"),
    Guard("s15", "a server demands masks, C", "csrc/frame.c",
          "policy->mask == WSF_MASK_REQUIRE && !frame->masked", "0"),
    Guard("s15", "short frames too, C", "csrc/frame.c",
          "policy->mask != WSF_MASK_ANY && masked !=", "0 && masked !="),
    Guard("s15", "masks, twin", "wsfast/_kernels_py.py",
          'if policy.mask != "any" and', "if False and"),
    Guard("s16", "used once, twin", "wsfast/_keys.py", "self._used = start + 4",
          "self._used = start"),
    Guard("s16", "forks, twin", "wsfast/_keys.py", "after_fork(_pool.forget)", ""),
    Guard("s16", "forks, C", "wsfast/_encoder_c.pyx", "after_fork(pool.forget)", ""),
    Guard("s16", "used once, C", "wsfast/_encoder_c.pyx", "self.used += 4", "self.used += 0"),
    Guard("s17", "input is dropped, twin", "wsfast/_codec_py.py",
          "if self.failed is not None or self._ended:", "if self._ended:"),
    Guard("s17", "input is dropped, C", "wsfast/_codec_c.pyx",
          "if self.failed is None and not self.ended:", "if not self.ended:"),
    Guard("s17", "no traceback grows", "wsfast/handshake.py",
          "if self._over is not None:\n            raise self._over.with_traceback(None)",
          "if self._over is not None:\n            raise self._over"),
    Guard("s17", "Connection", "wsfast/connection.py",
          "        self._feed = _discard\n        self._deadlines.stop_messages()",
          "        self._deadlines.stop_messages()"),
    Guard("s18", "Connection", "wsfast/connection.py", "if self._pongs < self._max_pongs:",
          "if True:"),
    Guard("s18", "uvicorn, the transport is full", f"{HOST}/_output.py",
          "self._pongs += pongs\n        del self._pongs[most - 1 : -1]", "self._pongs += pongs"),
    Guard("s18", "uvicorn, it fills", f"{HOST}/_output.py", "if self._waiting():\n", "if False:\n"),
    Guard("s19", "bytes_queued", "wsfast/connection.py",
          "        self.bytes_queued += len(frame)\n\n    def _take", "\n    def _take"),
    Guard("s19", "send waits", f"{HOST}/_output.py",
          "if self._full or self._job or self._senders:\n                await",
          "if False:\n                await"),
    Guard("s19", "send lets the loop have its turn", f"{HOST}/_output.py",
          "if not self._turn_in:", "if False:"),
    Guard("s20", "items of one byte", "wsfast/_kernels_c.pyx",
          "flat = out.view.itemsize == 1 and", "flat ="),
    Guard("s20", "items of one byte, twin", "wsfast/_kernels_py.py",
          "if view.itemsize != 1 or (", "if ("),
    Guard("s21", "views stay alive", "wsfast/_codec_py.py",
          "self._receive = bytearray(size)",
          "self._receive = (self._receive or bytearray()); self._receive.extend(bytes(size))"),
    Guard("s22", "max_message", "wsfast/frames.py",
          "max_message: int | None = 1 << 20",
          "max_message: int | None = None"),
    Guard("s23", "control bytes", "wsfast/_http.py", r"[\x00-\x08\x0a-\x1f\x7f]", r"[\x00]"),
    Guard("s23", "max_headers", "wsfast/_http.py", "len(lines) > self._limits.max_headers",
          "False"),
    Guard("s23", "max_head", "wsfast/_http.py", "if stop > most or (found < 0 and stop == most):",
          "if False:"),
    Guard("s23", "the accept key", "wsfast/_handshake_client.py",
          '!= [self._accept]', '== []'),
    Guard("s23", "the key", "wsfast/handshake.py", "if len(key) != 1 or not _KEY(key[0]):",
          "if len(key) != 1:"),
    Guard("s24", "the whole origin", "wsfast/handshake.py",
          "_canonical_origin(item) == wanted", "wanted.startswith(_canonical_origin(item))"),
    Guard("s25", "close_timeout, Connection", "wsfast/_deadlines.py",
          "if self._close is None and self._close_timeout is not None:", "if False:"),
    Guard("s25", "keepalive", "wsfast/_deadlines.py", "self._pong = now + self._timeout",
          "self._pong = None"),
    Guard("s28", "decoding stops, C", "wsfast/_codec_c.pyx",
          "self.room -= min(self.room, <uint64_t>n)", "pass"),
    Guard("s28", "decoding stops, twin", "wsfast/_codec_py.py",
          "self._room -= len(inflated)", "pass"),
    Guard("s28", "uvicorn, a queue's worth in a turn", f"{HOST}/_input.py",
          "(data, self._limits.queue_bytes)", "(data, 1 << 40)"),
    Guard("s28", "uvicorn, what a small read is", f"{HOST}/_input.py",
          "MOST_RATIO = 1032", "MOST_RATIO = 1"),
    Guard("s28", "uvicorn, behind the end too", f"{HOST}/_input.py",
          "(rest, self._limits.queue_bytes)", "(rest, 1 << 40)"),
    Guard("s25", "close does not wait, uvicorn", f"{HOST}/_output.py",
          'self.close_timeout if purpose == "websocket.close" else None', "None"),
    Guard("s25", "the peer ends its side, uvicorn", f"{HOST}/_protocol.py",
          "once our output has left, or never.\"\"\"\n        self._abort_in_time()",
          "once our output has left, or never.\"\"\""),
]  # fmt: skip


class Post(Workshop):
    """A workshop whose tests are those of one row."""

    def stands(self, guard: Guard) -> str:
        """What the tests say without this guard: a line, or nothing if nobody missed it."""
        file = self.place / guard.file
        good = file.read_text("utf-8")
        if good.count(guard.line) != 1:
            sys.exit(f"{guard.name}: {guard.line!r} is there {good.count(guard.line)} times")
        compiled = {path: path.read_bytes() for path in self.place.glob("wsfast/*.so")}
        file.write_text(good.replace(guard.line, guard.broken), "utf-8")
        try:
            self.build(guard.file)
            done = self.test_row(guard)
        finally:
            file.write_text(good, "utf-8")
            for path, content in compiled.items():
                if path.read_bytes() != content:
                    path.unlink()  # a mapped file must not change
                    path.write_bytes(content)
        if done.returncode == 0:
            return ""
        if done.returncode < 0:  # without it the process grew until it was killed
            return f"ended by signal {-done.returncode}"
        if done.returncode != 1:  # pytest's own: 1 is "tests failed"
            sys.exit(f"{guard.name}: exit {done.returncode}: {done.stdout}{done.stderr}")
        said = re.search(r"^FAILED \S*?::(.{1,60})", done.stdout, re.M)
        return said[1] if said else "red"

    def build(self, file: str) -> None:
        """What depends on ``file``, again."""
        if file.endswith(".c"):
            self.rebuild()
        elif file.endswith(".pyx"):
            build = (sys.executable, "setup.py", "--quiet", "build_ext", "--inplace")
            demand(*build, cwd=self.place, WSFAST_BUILD="yes", CFLAGS="-O1")

    def test_row(self, guard: Guard) -> subprocess.CompletedProcess[str]:
        suite = "hosts/test_uvicorn_hostile.py" if guard.file.startswith(HOST) else "hostile"
        native = guard.file.endswith((".c", ".pyx"))  # then the twin has nothing to say
        chosen = f"{guard.row} and not python" if native else guard.row
        return self.pytest([suite], "-k", chosen, "--timeout=60")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="in its row, name or file: s03")
    words = parser.parse_args().words
    chosen = [
        g for g in GUARDS if not words or any(w in f"{g.row} {g.name} {g.file}" for w in words)
    ]
    if not chosen:
        parser.error("there is no such guard")
    with tempfile.TemporaryDirectory() as folder:
        silent = in_turn(Post(Path(folder, "1")), chosen, Post.stands)
    print(f"{len(chosen) - silent} passed, {silent} failed")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
