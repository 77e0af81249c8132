/* utf8.c - UTF-8 (RFC 3629): the exact end of every check, and texts in pieces. The kernels only
 * say how far whole vectors are right; where exactly a text is wrong is decided here. */
#include "wsf_internal.h"

/* The sequence at p, n > 0: its length, 0 when the end cuts it, or minus the length of its ill-formed
 * start (the maximal subpart of Unicode 3.9, as CPython's decoder reports it). */
static int sequence(const uint8_t *p, size_t n)
{
    const uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4) /* continuation, overlong, or above U+10FFFF */
        return -1;
    const int size = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;   /* else overlong */
    uint8_t high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF; /* else surrogate, too large */
    for (int i = 1; i < size; i++) {
        if ((size_t)i == n)
            return 0;
        if (p[i] < low || p[i] > high)
            return -i;
        low = 0x80;
        high = 0xBF;
    }
    return size;
}

wsf_utf8_status wsf_utf8_check(const uint8_t *p, size_t n, size_t *valid, size_t *bad)
{
    size_t i = n ? wsf_active->utf8_bulk(p, n) : 0;
    int found = 1;
    while (i < n && found > 0) {
        if (n - i >= 8 && !wsf_high(wsf_load64(p + i))) {
            i += 8;
            continue;
        }
        if (n - i < 8 && n >= 8 && !wsf_high(wsf_load64(p + n - 8))) {
            i = n; /* a word that overlaps what is checked, instead of up to 7 single bytes */
            continue;
        }
        found = sequence(p + i, n - i);
        i += found > 0 ? (size_t)found : 0;
    }
    *valid = i;
    *bad = found < 0 ? (size_t)-found : 0;
    return found > 0 ? WSF_UTF8_VALID : found < 0 ? WSF_UTF8_INVALID : WSF_UTF8_CUT;
}

size_t wsf_utf8_count(const uint8_t *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (p[i] & 0xC0) != 0x80; /* all but 10xxxxxx begin one; compilers make vectors of it */
    return count;
}

/* Finishes the held sequence with the first bytes of p. Returns how many it took, or -1. */
static int finish_carry(wsf_utf8 *u, const uint8_t *p, size_t n, size_t *bad)
{
    uint8_t joined[4];
    const size_t held = u->held, more = n < 4 - held ? n : 4 - held;
    memcpy(joined, u->carry, held);
    memcpy(joined + held, p, more);
    const int found = sequence(joined, held + more);
    if (found < 0) {
        *bad = (size_t)-found;
        return -1;
    }
    if (found == 0) { /* still cut, so fewer than 4 bytes in all */
        memcpy(u->carry, joined, held + more);
        u->held = (uint8_t)(held + more);
        return (int)more;
    }
    u->held = 0;
    return found - (int)held;
}

bool wsf_utf8_feed(wsf_utf8 *u, const uint8_t *p, size_t n, uint64_t at, uint64_t *fault,
                   size_t *bad)
{
    size_t used = 0, valid;
    if (u->held && n) {
        const int took = finish_carry(u, p, n, bad);
        if (took < 0) {
            *fault = u->lead;
            return false;
        }
        used = (size_t)took;
        if (u->held)
            return true;
    }
    const wsf_utf8_status status = wsf_utf8_check(p + used, n - used, &valid, bad);
    if (status == WSF_UTF8_INVALID) {
        *fault = at + used + valid;
        return false;
    }
    if (status == WSF_UTF8_CUT) {
        u->held = (uint8_t)(n - used - valid);
        memcpy(u->carry, p + used + valid, u->held);
        u->lead = at + used + valid;
    }
    return true;
}
