"""Which implementation runs: the C extension where it is built, else the pure-Python twin.

``WSFAST_BACKEND`` unset takes C and falls back only when the extension is absent; ``c`` demands it;
``c-<isa>`` demands it with one set of kernels; ``python`` takes the twin. An extension that is
there but does not load is an error, never a silent slow path.
"""

import os

_wish = os.environ.get("WSFAST_BACKEND", "")
_bare = False  # the twin runs, and nobody asked for it

if _wish == "python":
    import wsfast._codec_py as _impl
elif _wish in ("", "c") or _wish.startswith("c-"):
    try:
        import wsfast._codec_c as _impl
    except ImportError as exc:
        if exc.name != "wsfast._codec_c" or not isinstance(exc, ModuleNotFoundError):
            hint = "WSFAST_BACKEND=python does without it"  # a damaged build, or a sub-interpreter
            raise ImportError(f"wsfast's C extension does not load ({hint}): {exc}") from exc
        if _wish:
            way = "reinstall with WSFAST_BUILD=yes to see why, or unset it"
            text = f"WSFAST_BACKEND={_wish}: the C extension is not there; {way}"
            raise ImportError(text) from exc
        import wsfast._codec_py as _impl

        _bare = True
    else:
        if _wish.startswith("c-"):
            try:
                _impl._select(_wish[2:])
            except ImportError as exc:
                raise ImportError(f"WSFAST_BACKEND={_wish}: {exc}; unset it") from None
else:
    raise ImportError(f"WSFAST_BACKEND={_wish!r}: expected c, python or c-<isa>, or unset it")

mask = _impl.mask
mask_inplace = _impl.mask_inplace
utf8_valid = _impl.utf8_valid
Utf8Validator = _impl.Utf8Validator
Utf8Decoder = _impl.Utf8Decoder
parse_header = _impl.parse_header
build_header = _impl.build_header
scan = _impl.scan
FrameDecoder = _impl.FrameDecoder
MessageDecoder = _impl.MessageDecoder
FrameEncoder = _impl.FrameEncoder
Scanner = _impl.Scanner
Builder = _impl.Builder
Whole = _impl.Whole
instance = _impl.instance
take = _impl.take
take_text = _impl.take_text
take_utf8 = _impl.take_utf8


def backend() -> str:
    """The implementation in use: ``"c-avx2"``, ``"c-scalar"``, …, or ``"python"``."""
    return _impl.backend()


def build_info() -> dict[str, object]:
    """How the C extension was built: ``{"ok": bool, "reason": str | None}``.

    ``reason`` says why an optional build failed or was not tried; pip hides build warnings, so
    setup.py leaves it in the package. ``ok`` is None in a checkout that was never built.
    """
    try:
        from wsfast._build_info import INFO
    except ModuleNotFoundError:
        return {"ok": None, "reason": "not built: run `make build`"}
    return dict(INFO)


def environment() -> dict[str, str]:
    """The variables that chose the implementation, for ``wsfast status``."""
    return {"WSFAST_BACKEND": _wish} if _wish else {}


if _bare and build_info()["ok"] is None:
    import warnings

    warnings.warn(
        "wsfast runs in pure Python from a checkout that was never built: run `make build`, or, "
        "where wsfast is installed, start Python outside it",
        RuntimeWarning,
        stacklevel=2,
    )
