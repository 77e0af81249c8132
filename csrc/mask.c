/* mask.c - masking, RFC 6455 5.3: the only place that knows how a position turns the key. */
#include "wsf_internal.h"

bool wsf_mask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], uint64_t position)
{
    /* Without a key this is a copy that looks for non-ASCII on its way: XOR with 0. */
    const uint32_t turned = key ? wsf_turn_key(wsf_load32(key), (size_t)(position & 3)) : 0;
    return !(wsf_active->mask(dst, src, n, turned) & 0x80);
}
