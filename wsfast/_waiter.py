"""``Waiter``, in C where the codec is. Apart from ``codec``, since it needs asyncio."""

from .codec import backend

if backend() == "python":
    from ._wake_py import Waiter
else:
    from ._wake_c import Waiter

__all__ = ["Waiter"]
