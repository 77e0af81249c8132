/* mask - every kernel against section 5.3's loop: any length, position, alignment, in place too. */
#include "fuzz.h"

enum { BEFORE = 64, UNTOUCHED = 0xA5 };

static void mask_once(const uint8_t *from, size_t n, size_t shift, const uint8_t *key,
                      uint64_t position, bool in_place)
{
    uint8_t *room = malloc(BEFORE + shift + n), *src = alone(from, n);
    DEMAND(room);
    uint8_t *dst = room + BEFORE + shift;
    memset(room, UNTOUCHED, BEFORE + shift);
    if (in_place && n)
        memcpy(dst, from, n);
    const bool ascii = wsf_mask(dst, in_place ? dst : src, n, key, position);
    bool expected = true;
    for (size_t i = 0; i < n; i++) {
        const uint8_t byte = from[i] ^ (key ? key[(position + i) % 4] : 0);
        DEMAND(dst[i] == byte);
        DEMAND(src[i] == from[i]);
        expected = expected && byte < 0x80;
    }
    DEMAND(ascii == expected);
    for (size_t i = 0; i < BEFORE + shift; i++)
        DEMAND(room[i] == UNTOUCHED);
    free(room);
    free(src);
}

/* One byte that is not ASCII among n that are, anywhere, is told. */
static void check_one_high(size_t n, const uint8_t key[4], uint64_t position)
{
    uint8_t *text = malloc(n);
    DEMAND(text || !n);
    for (size_t high = 0; high < n; high += n < 200 ? 1 : 1 + n / 50) {
        for (size_t i = 0; i < n; i++)
            text[i] = (i == high ? 0x80 : 'a') ^ key[(position + i) % 4];
        DEMAND(!wsf_mask(text, text, n, key, position));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const uint8_t flags = take(&in), shift = take(&in) % 64;
    const uint64_t position = take64(&in);
    uint8_t key[4];
    for (int i = 0; i < 4; i++)
        key[i] = take(&in);
    const char *isa;
    for (size_t i = 0; (isa = wsf_available(i)) != NULL; i++) {
        DEMAND(wsf_select(isa));
        for (int in_place = 0; in_place < 2; in_place++)
            mask_once(in.p, in.n, shift, flags & 1 ? NULL : key, position, in_place);
        check_one_high(in.n, key, position);
    }
    return 0;
}
