/* wsf_internal.h - the kernel table, the helpers every kernel needs, and one shortcut. */
#ifndef WSF_INTERNAL_H
#define WSF_INTERNAL_H

#include <string.h>

#include "wsf.h"

/* Per function instead of per file: one plain build works everywhere. */
#if defined(__GNUC__)
#define WSF_TARGET(isa) __attribute__((target(isa)))
#else
#define WSF_TARGET(isa)
#endif

#if defined(__x86_64__) || (defined(_M_X64) && !defined(_M_ARM64EC))
#define WSF_X86_64 1
#endif

/* One set of kernels. `key` is in memory order: its first byte meets src[0]. */
typedef struct wsf_kernels {
    const char *isa;
    /* dst = src ^ key; the bitwise OR of all bytes written, of which only bit 7 counts. */
    uint8_t (*mask)(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key);
    /* Some m <= n such that p[0..m) is well-formed and ends with a whole character: as far as
     * whole vectors go. The exact rest is utf8.c's. */
    size_t (*utf8_bulk)(const uint8_t *p, size_t n);
} wsf_kernels;

extern const wsf_kernels wsf_kernels_scalar;
#ifdef WSF_X86_64
extern const wsf_kernels wsf_kernels_avx2;
#endif

extern const wsf_kernels *wsf_active; /* set by wsf_init() */

bool wsf_cpu_has_avx2(void);

/* frame.c for decoder.c: the header's size when p[0..n) begins with the commonest frame there is,
 * whole: final text or binary, no RSV bit, less than 126 bytes, masked as policy says. Else 0:
 * wsf_header_parse() will say. */
int wsf_header_short(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame);

static inline uint32_t wsf_load32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t wsf_load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline void wsf_store32(uint8_t *p, uint32_t word) { memcpy(p, &word, sizeof word); }
static inline void wsf_store64(uint8_t *p, uint64_t word) { memcpy(p, &word, sizeof word); }

static inline uint64_t wsf_twice(uint32_t word) { return (uint64_t)word << 32 | word; }

/* The key whose first byte is key[phase % 4], whatever the byte order of the machine. One store of
 * 8 bytes, so that the load of 4 of them need not wait for the cache. */
static inline uint32_t wsf_turn_key(uint32_t key, size_t phase)
{
    uint8_t twice[8];
    wsf_store64(twice, wsf_twice(key));
    return wsf_load32(twice + (phase & 3));
}

/* Bit 7 of any byte of a word, as bit 7 of one byte. */
static inline uint8_t wsf_high(uint64_t word)
{
    return (word & UINT64_C(0x8080808080808080)) ? 0x80 : 0;
}

#endif
