"""The chooser of the back end, and what ``import wsfast`` costs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import wsfast

ASK = "import wsfast; print(wsfast.backend())"
HEAVY = ("dataclasses", "typing", "importlib.metadata", "secrets", "hashlib", "asyncio")
HOSTS = ("uvicorn", "websockets", "aiohttp", "wsproto", "uvloop", "zlib", "zlib_ng", "isal")


@pytest.fixture
def pure(tmp_path: Path) -> str:
    """A copy of the package without its extensions; the place to import it from."""
    source = Path(wsfast.__file__).parent
    ignore = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(source, tmp_path / "wsfast", ignore=ignore)
    return str(tmp_path)


def ask(run_python: Any, **variables: str | None) -> str:
    """The back end chosen, or the last line of the error; -S: no editable install is in the way."""
    done = run_python("-S", "-c", ASK, **variables)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


# ---- WSFAST_BACKEND -----------------------------------------------------------------------------


def test_python_is_chosen(run_python: Any) -> None:
    assert ask(run_python, WSFAST_BACKEND="python") == "python"


def test_each_is_chosen(run_python: Any, backend: Any) -> None:
    name = backend.backend()
    assert ask(run_python, WSFAST_BACKEND=name) == name


def test_c_is_the_default_where_it_is(run_python: Any, c_backends: list[str]) -> None:
    best = c_backends[-1] if c_backends else "python"
    assert ask(run_python, WSFAST_BACKEND=None) == best
    assert ask(run_python, WSFAST_BACKEND="") == best
    if c_backends:
        assert ask(run_python, WSFAST_BACKEND="c") == best


@pytest.mark.parametrize("wish", ["pyhton", "C", "1", "avx2"])
def test_unknown_wish(run_python: Any, wish: str) -> None:
    said = ask(run_python, WSFAST_BACKEND=wish)
    way = "expected c, python or c-<isa>, or unset it"
    assert said == f"ImportError: WSFAST_BACKEND={wish!r}: {way}"


def test_unknown_kernels(run_python: Any, c_backends: list[str]) -> None:
    if not c_backends:
        pytest.skip("needs the extension")
    for isa in ("neon9", ""):
        said = ask(run_python, WSFAST_BACKEND=f"c-{isa}")
        start = f"ImportError: WSFAST_BACKEND=c-{isa}: no {isa} kernels on this machine (there are "
        assert said.startswith(start) and said.endswith("); unset it")


# ---- where the extension is absent, and where it is broken --------------------------------------


def test_absent_extension_falls_back_when_nothing_is_asked(run_python: Any, pure: str) -> None:
    assert ask(run_python, PYTHONPATH=pure, WSFAST_BACKEND=None) == "python"
    assert ask(run_python, PYTHONPATH=pure, WSFAST_BACKEND="python") == "python"


@pytest.mark.parametrize("wish", ["c", "c-scalar"])
def test_absent_extension_is_an_error_when_asked_for(run_python: Any, pure: str, wish: str) -> None:
    said = ask(run_python, PYTHONPATH=pure, WSFAST_BACKEND=wish)
    way = "reinstall with WSFAST_BUILD=yes to see why, or unset it"
    assert said == f"ImportError: WSFAST_BACKEND={wish}: the C extension is not there; {way}"


def test_uvicorns_class_says_that_it_is_slow_when_nobody_asked(run_python: Any, pure: str) -> None:
    packages = [path for path in sys.path if path.endswith("site-packages")]
    if not any(Path(path, "uvicorn").exists() for path in packages):
        pytest.skip("uvicorn is not installed")
    for wish, warned in ((None, True), ("python", False)):
        place = os.pathsep.join([pure, *packages])
        done = run_python(
            "-S", "-c", "import wsfast.uvicorn", PYTHONPATH=place, WSFAST_BACKEND=wish
        )
        assert ("runs in pure Python" in done.stderr) is warned
        assert done.returncode == 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("raise ImportError('undefined symbol: wsf_mask')", "undefined symbol: wsf_mask"),
        ("import wsfast._kernels_c", "No module named 'wsfast._kernels_c'"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_broken_extension_is_never_passed_over(
    run_python: Any, pure: str, broken: str, said: str
) -> None:
    Path(pure, "wsfast", "_codec_c.py").write_text(broken)
    assert said in ask(run_python, PYTHONPATH=pure, WSFAST_BACKEND=None)
    assert ask(run_python, PYTHONPATH=pure, WSFAST_BACKEND="python") == "python"


@pytest.mark.parametrize("start", ["wsfast", "-m wsfast"])
@pytest.mark.parametrize(
    ("wish", "says"),
    [("nonsense", "WSFAST_BACKEND='nonsense': expected"), ("c", "wsfast's C extension does not")],
)
def test_the_command_says_so_in_one_line(
    run_python: Any, pure: str, tmp_path: Path, start: str, wish: str, says: str
) -> None:
    """As pip's script starts it, too: the package fails before the command's own code runs."""
    Path(pure, "wsfast", "_codec_c.py").write_text("raise ImportError('undefined symbol')")
    script = tmp_path / "bin" / "wsfast"
    command = start.split() if start.startswith("-m") else [str(script)]
    script.parent.mkdir()
    script.write_text("import sys\nfrom wsfast.cli import main\nsys.exit(main())\n")
    done = run_python("-S", *command, "status", PYTHONPATH=pure, WSFAST_BACKEND=wish)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"wsfast: {says}")


def test_hidden_extension_turns_a_session_that_expects_it_red(run_python: Any, pure: str) -> None:
    """WSFAST_EXPECT: CI cannot test the slow path by mistake."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    command = ["-S", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command.append(str(Path(__file__).with_name("test_errors.py")))
    for expected, code in (("c-scalar,python", 4), ("python", 0)):
        done = run_python(
            *command,
            PYTHONPATH=os.pathsep.join([pure, *packages]),
            WSFAST_EXPECT=expected,
            WSFAST_BACKEND=None,
        )
        assert done.returncode == code, done.stdout + done.stderr


# ---- what is imported ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["python", None])
def test_import_is_small(run_python: Any, name: str | None) -> None:
    code = "import sys; before = set(sys.modules); import wsfast; print(*set(sys.modules) - before)"
    done = run_python("-S", "-c", code, WSFAST_BACKEND=name)
    loaded = set(done.stdout.split())
    assert "wsfast.frames" in loaded, done.stderr
    assert not loaded & {*HEAVY, *HOSTS}
    late = {"connection", "handshake", "deflate", "prepared", "uvicorn", "cli", "close_codes"}
    late |= {"integrations", "broadcasting", "_zlib", "_contexts", "_deflate_py"}
    assert not loaded & {f"wsfast.{module}" for module in late}


def test_public_names() -> None:
    for name in wsfast.__all__:
        assert getattr(wsfast, name) is not None
    assert set(dir(wsfast)) >= set(wsfast.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'bogus'"):
        _ = wsfast.bogus


def test_codec_exports_the_backend_in_use() -> None:
    from wsfast import codec

    implementation = codec._impl
    for name in ("mask", "scan", "MessageDecoder", "FrameEncoder", "Utf8Decoder"):
        assert getattr(wsfast, name) is getattr(implementation, name)
    assert wsfast.backend() == implementation.backend()


def test_build_info() -> None:
    info = wsfast.build_info()
    assert info.keys() >= {"ok", "reason"}
    info["ok"] = "changed"
    assert wsfast.build_info()["ok"] != "changed"
