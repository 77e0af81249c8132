"""``Inflater`` and ``Deflater``, in C where the codec is. Apart from it, since they need zlib."""

from .codec import backend

if backend() == "python":
    from ._deflate_py import Deflater, Inflater
else:
    from ._deflate_c import Deflater, Inflater

__all__ = ["Deflater", "Inflater"]
