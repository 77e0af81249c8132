"""What the other rooms use of the binding's first layer."""

from cpython.buffer cimport PyBuffer_Release
from wsfast._wsf cimport uint8_t, uint64_t, wsf_mask, wsf_policy

cdef extern from "Python.h":
    """
    /* One owner at a time. With the GIL a plain flag will do: nothing between test and set yields. */
    #if !defined(Py_GIL_DISABLED)
    #define WSF_CLAIM(flag) (*(flag) ? 0 : (*(flag) = 1))
    #define WSF_RELEASE(flag) (*(flag) = 0)
    #elif defined(_MSC_VER)
    #include <intrin.h>
    #define WSF_CLAIM(flag) (_InterlockedExchange8(flag, 1) == 0)
    #define WSF_RELEASE(flag) _InterlockedExchange8(flag, 0)
    #else
    #define WSF_CLAIM(flag) (!__atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE))
    #define WSF_RELEASE(flag) __atomic_store_n(flag, 0, __ATOMIC_RELEASE)
    #endif

    /* Bytes from which a kernel call outweighs giving up the GIL and taking it back. */
    #define WSF_WITHOUT_GIL (64 << 10)

    #if defined(Py_GIL_DISABLED)
    #define WSF_HAS_GIL 0
    #else
    #define WSF_HAS_GIL 1
    #endif
    """
    bint WSF_CLAIM(char *flag) noexcept
    void WSF_RELEASE(char *flag) noexcept
    Py_ssize_t WSF_WITHOUT_GIL
    bint WSF_HAS_GIL

cdef struct Bytes:
    const uint8_t *p
    Py_ssize_t n
    Py_buffer view
    bint viewed  # else `p` lies in an object that the caller keeps alive

cdef int acquire(object data, Bytes *out, bint writable=*) except -1
cdef int read_key(object key, uint8_t *out) except -1
cdef object remote(int error, uint64_t offset)
cdef object local(int error)
cdef int native_policy(object policy, wsf_policy *out) except -1
cdef uint64_t bound(object limit) except? 7
cdef size_t position_in(Bytes *buf, object pos) except? 7


cdef inline void release(Bytes *data) noexcept:
    if data.viewed:
        PyBuffer_Release(&data.view)


cdef inline bint mask_bytes(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t *key,
                            uint64_t at) noexcept:
    """wsf_mask, without the GIL where that pays; true when all that was written is ASCII."""
    cdef bint ascii
    if <Py_ssize_t>n < WSF_WITHOUT_GIL:
        return wsf_mask(dst, src, n, key, at)
    with nogil:
        ascii = wsf_mask(dst, src, n, key, at)
    return ascii
