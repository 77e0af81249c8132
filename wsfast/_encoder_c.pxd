"""What _scan_c uses of the sending half."""

from wsfast._wsf cimport uint8_t

cdef int take_key(uint8_t *key) except -1
