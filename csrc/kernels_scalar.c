/* kernels_scalar.c - 8-byte words: what every machine can do. */
#include "wsf_internal.h"

#define V uint64_t
#define V_SIZE 8
#define V_FN
#define V_LOAD(p) wsf_load64(p)
#define V_STORE(p, v) wsf_store64(p, v)
#define V_XOR(a, b) ((a) ^ (b))
#define V_OR(a, b) ((a) | (b))
#define V_KEY(key) wsf_twice(key)
#define V_HIGH(v) wsf_high(v)

#include "mask_tpl.h"

/* The exact check of utf8.c is as fast as words can be. */
static size_t no_bulk(const uint8_t *p, size_t n)
{
    (void)p;
    (void)n;
    return 0;
}

const wsf_kernels wsf_kernels_scalar = {"scalar", mask_tpl, no_bulk};
