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

/* UTF-8 by the rows of RFC 3629 section 4, one byte after the other. The length of what is
 * well-formed, and of the ill-formed start behind it; 0 where there is none. cut: the end came. */
static inline size_t naive_utf8(const uint8_t *p, size_t n, size_t *bad, bool *cut)
{
    static const uint8_t rows[][5] = {
        /* first byte from, to; second byte from, to; bytes in all */
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    size_t at = 0;
    *bad = 0;
    *cut = false;
    while (at < n) {
        const uint8_t *row = NULL;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (p[at] >= rows[i][0] && p[at] <= rows[i][1])
                row = rows[i];
        size_t right = row ? 1 : 0;
        for (; row && right < row[4]; right++) {
            const uint8_t low = right == 1 ? row[2] : 0x80, high = right == 1 ? row[3] : 0xBF;
            if (at + right == n) {
                *cut = true;
                return at;
            }
            if (p[at + right] < low || p[at + right] > high)
                break;
        }
        if (!row || right < row[4]) {
            *bad = right ? right : 1;
            return at;
        }
        at += right;
    }
    return at;
}

#endif
