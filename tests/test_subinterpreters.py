"""Sub-interpreters get a clear refusal from the C extension, and the pure-Python twin if asked.

Supporting isolated ones takes Cython's module state, and that costs the encoder 15 % at 125 bytes
(64 -> 74 ns, measured side by side), so it is off.
"""

import subprocess
import sys

import pytest

import wsfast

RUN = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import wsfast
other = interpreters.create()
failure = interpreters.run_string(other, '''
try:
    import wsfast
except ImportError as exc:
    print("refused:", exc)
else:
    print("runs:", wsfast.MessageDecoder(wsfast.Role.CLIENT).feed(bytes([0x81, 2]) + b"hi"))
''')
interpreters.destroy(other)
if failure is not None:
    print(failure)
"""


def run(backend):
    env = {"WSFAST_BACKEND": backend, "PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", RUN], env=env, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.skipif(wsfast.backend() == "python", reason="the C extension is not in use")
def test_c_refuses_and_says_what_to_do():
    assert run("c").startswith("refused: wsfast's C extension does not load (WSFAST_BACKEND=python")


def test_python_runs():
    assert run("python") == "runs: ['hi']\n"
