/* fuzz.h - what the targets share. An input is a few bytes that choose settings, then the bytes
 * that are judged; those are copied to memory of exactly their size, so that ASan sees every byte
 * read or written outside. A target ends the process where its oracle disagrees. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "wsf_internal.h"

#define DEMAND(truth)                                                                              \
    do {                                                                                           \
        if (!(truth)) {                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #truth,                \
                    wsf_selected());                                                               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Tables and vectors have no edges for libFuzzer to count: what WORTH is given counts as one. */
#ifdef __linux__
__attribute__((section("__libfuzzer_extra_counters"), used))
#endif
static volatile uint8_t worth[1024];
#define WORTH(number) (worth[(number) % sizeof worth] = 1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    const uint8_t *p;
    size_t n;
} input;

/* The next byte; 0 behind the end. */
static inline uint8_t take(input *in)
{
    if (!in->n)
        return 0;
    in->n--;
    return *in->p++;
}

static inline uint64_t take64(input *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | take(in);
    return value;
}

/* A copy of exactly n bytes, the caller's to free. */
static inline uint8_t *alone(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n);
    DEMAND(copy || !n);
    if (n)
        memcpy(copy, p, n);
    return copy;
}

/* Sizes of chunks, small ones often; the same for the same state. */
static inline size_t next_cut(uint32_t *state, size_t left)
{
    *state = *state * 1664525u + 1013904223u;
    const size_t most = 1u << (*state >> 16 & 7), size = 1 + (*state >> 20) % most;
    return size < left ? size : left;
}

/* One policy from two bytes. */
static inline wsf_policy take_policy(input *in)
{
    const uint8_t a = take(in), b = take(in);
    const wsf_policy policy = {.mask = a % 3,
                               .msb = (a >> 2) % 3,
                               .rsv = b & 7,
                               .minimal_length = !(a & 0x10),
                               .late = a & 0x20,
                               .any_close_code = a & 0x40};
    return policy;
}

#endif
