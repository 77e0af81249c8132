/* mask_tpl.h - the masking loop, written once. Include it with the vector vocabulary defined:
 *   V, V_SIZE (a multiple of 4), V_LOAD, V_STORE, V_XOR, V_OR, V_KEY(uint32_t), V_HIGH(v)
 *   V_FN: attributes of the function
 * Defines  static uint8_t mask_tpl(dst, src, n, key).
 *
 * dst may be src, so what overlaps is loaded before anything is stored: the first and the last
 * vector are taken first and written last, over bytes the loop has already given the same values.
 */

/* Bytes from which the loop's stores are aligned. CPython's payloads lie at 16 mod 32 half of the
 * time, and stores across cache lines cost up to twice as much: 1 KiB 19 ns against 10 to 14,
 * 64 KiB 1380 against 1160 into new memory and 1270 against 595 in place (Zen 4, AVX2). */
#define ALIGN_FROM (16 * V_SIZE)

/* n < 32, by at most four overlapping words and no loop. */
static inline uint8_t mask_short(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    if (n >= 8) {
        const uint64_t k = wsf_twice(key), end = wsf_twice(wsf_turn_key(key, n));
        const uint64_t a = wsf_load64(src) ^ k, d = wsf_load64(src + n - 8) ^ end;
        uint64_t high = a | d;
        if (n > 16) {
            const uint64_t b = wsf_load64(src + 8) ^ k, c = wsf_load64(src + n - 16) ^ end;
            wsf_store64(dst + 8, b);
            wsf_store64(dst + n - 16, c);
            high |= b | c;
        }
        wsf_store64(dst, a);
        wsf_store64(dst + n - 8, d);
        return wsf_high(high);
    }
    if (n >= 4) {
        const uint32_t a = wsf_load32(src) ^ key;
        const uint32_t b = wsf_load32(src + n - 4) ^ wsf_turn_key(key, n);
        wsf_store32(dst, a);
        wsf_store32(dst + n - 4, b);
        return wsf_high(a | b);
    }
    uint8_t bytes[4], high = 0;
    wsf_store32(bytes, key);
    for (size_t i = 0; i < n; i++)
        high |= dst[i] = src[i] ^ bytes[i];
    return high;
}

V_FN static uint8_t mask_tpl(uint8_t *dst, const uint8_t *src, size_t n, uint32_t key)
{
    if (n < 32)
        return mask_short(dst, src, n, key);

    V k = V_KEY(key);
    const V start = V_XOR(V_LOAD(src), k);
    const V end = V_XOR(V_LOAD(src + n - V_SIZE), V_KEY(wsf_turn_key(key, n)));
    V high = V_OR(start, end);
    size_t i = V_SIZE;
    if (n >= ALIGN_FROM) {
        i -= (uintptr_t)dst % V_SIZE;
        k = V_KEY(wsf_turn_key(key, i));
    }
    for (; n - i >= 4 * V_SIZE; i += 4 * V_SIZE) {
        const V a = V_XOR(V_LOAD(src + i), k);
        const V b = V_XOR(V_LOAD(src + i + V_SIZE), k);
        const V c = V_XOR(V_LOAD(src + i + 2 * V_SIZE), k);
        const V d = V_XOR(V_LOAD(src + i + 3 * V_SIZE), k);
        V_STORE(dst + i, a);
        V_STORE(dst + i + V_SIZE, b);
        V_STORE(dst + i + 2 * V_SIZE, c);
        V_STORE(dst + i + 3 * V_SIZE, d);
        high = V_OR(high, V_OR(V_OR(a, b), V_OR(c, d)));
    }
    for (; n - i > V_SIZE; i += V_SIZE) {
        const V a = V_XOR(V_LOAD(src + i), k);
        V_STORE(dst + i, a);
        high = V_OR(high, a);
    }
    V_STORE(dst, start);
    V_STORE(dst + n - V_SIZE, end);
    return V_HIGH(high);
}
