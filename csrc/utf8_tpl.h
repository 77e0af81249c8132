/* utf8_tpl.h - UTF-8 validation by three table look-ups per byte, after Keiser and Lemire,
 * "Validating UTF-8 in less than one instruction per byte" (2021). Include it with the vocabulary:
 *   V, V_SIZE, V_LOAD, V_OR, V_AND, V_XOR, V_FN as in mask_tpl.h, and
 *   V_BYTE(b)        the byte b everywhere
 *   V_TABLE(t)       16 bytes, repeated
 *   V_LOOKUP(t, v)   t[v & 15] for each byte (bit 7 of each v is 0)
 *   V_NIBBLE(v)      the high four bits of each byte
 *   V_SUBS(a, b)     a - b per byte, not below 0
 *   V_PREV(v, p, k)  v moved up k bytes, its first k being the last of p
 *   V_ASCII(v)       no byte has bit 7;   V_NONE(v)  all bits are 0
 * Defines  static size_t utf8_bulk_tpl(p, n).
 *
 * Each table maps a nibble to the set of errors it may take part in; a pair of bytes is wrong when
 * one error is in all three sets.
 */
enum {
    TOO_SHORT = 1 << 0,      /* lead not followed by a continuation */
    TOO_LONG = 1 << 1,       /* ASCII followed by a continuation */
    OVERLONG_3 = 1 << 2,     /* E0 80..9F */
    TOO_LARGE = 1 << 3,      /* F4 90..BF, F5.. */
    SURROGATE = 1 << 4,      /* ED A0..BF */
    OVERLONG_2 = 1 << 5,     /* C0, C1 */
    TOO_LARGE_1000 = 1 << 6, /* F5.. 80..8F */
    OVERLONG_4 = 1 << 6,     /* F0 80..8F */
    TWO_CONTS = 1 << 7,      /* right only as 2nd and 3rd or 3rd and 4th of a sequence */
    CARRY = TOO_SHORT | TOO_LONG | TWO_CONTS
};

/* By the high nibble of the byte before. */
static const uint8_t utf8_before_high[16] = {
    TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG, TOO_LONG,
    TWO_CONTS, TWO_CONTS, TWO_CONTS, TWO_CONTS,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
};

/* By its low nibble. */
static const uint8_t utf8_before_low[16] = {
    CARRY | OVERLONG_2 | OVERLONG_3 | OVERLONG_4,
    CARRY | OVERLONG_2,
    CARRY, CARRY,
    CARRY | TOO_LARGE,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
    CARRY | TOO_LARGE | TOO_LARGE_1000, CARRY | TOO_LARGE | TOO_LARGE_1000,
};

/* By the high nibble of the byte itself. */
static const uint8_t utf8_here_high[16] = {
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
    TOO_LONG | TWO_CONTS | OVERLONG_2 | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4,
    TOO_LONG | TWO_CONTS | OVERLONG_2 | OVERLONG_3 | TOO_LARGE,
    TOO_LONG | TWO_CONTS | OVERLONG_2 | SURROGATE | TOO_LARGE,
    TOO_LONG | TWO_CONTS | OVERLONG_2 | SURROGATE | TOO_LARGE,
    TOO_SHORT, TOO_SHORT, TOO_SHORT, TOO_SHORT,
};

/* Non-zero bytes where `here`, coming after `before`, is wrong. */
V_FN static inline V utf8_errors(V here, V before)
{
    const V prev1 = V_PREV(here, before, 1);
    const V pair = V_AND(V_AND(V_LOOKUP(V_TABLE(utf8_before_high), V_NIBBLE(prev1)),
                               V_LOOKUP(V_TABLE(utf8_before_low), V_AND(prev1, V_BYTE(0x0F)))),
                         V_LOOKUP(V_TABLE(utf8_here_high), V_NIBBLE(here)));
    /* Two bytes after E0.. and three after F0.. a continuation must come: there, TWO_CONTS is no
     * error but a duty, and it is bit 7 that says so on both sides. */
    const V third = V_SUBS(V_PREV(here, before, 2), V_BYTE(0xE0 - 0x80));
    const V fourth = V_SUBS(V_PREV(here, before, 3), V_BYTE(0xF0 - 0x80));
    return V_XOR(V_AND(V_OR(third, fourth), V_BYTE(0x80)), pair);
}

/* The last character boundary in p[0..n), whose characters are right but for a cut last one. */
static inline size_t utf8_boundary(const uint8_t *p, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const uint8_t c = p[n - back];
        if (c >= 0xC0) /* a lead: of 2, 3 or 4 bytes */
            return back < (c < 0xE0 ? 2u : c < 0xF0 ? 3u : 4u) ? n - back : n;
    }
    return n;
}

V_FN static size_t utf8_bulk_tpl(const uint8_t *p, size_t n)
{
    V before = V_BYTE(0);
    size_t i = 0;
    while (n - i >= 2 * V_SIZE) {
        const V a = V_LOAD(p + i), b = V_LOAD(p + i + V_SIZE);
        /* A cut sequence before ASCII must be noticed: then the pair is judged like any other. */
        if (!(V_ASCII(V_OR(a, b)) && utf8_boundary(p, i) == i)) {
            if (!V_NONE(V_OR(utf8_errors(a, before), utf8_errors(b, a))))
                break;
        }
        before = b;
        i += 2 * V_SIZE;
    }
    return utf8_boundary(p, i);
}
