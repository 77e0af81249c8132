from ._wake_py import Waiter as Waiter
