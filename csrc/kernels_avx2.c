/* kernels_avx2.c - 32-byte vectors. */
#include "wsf_internal.h"

#ifdef WSF_X86_64
#include <immintrin.h>

#define V __m256i
#define V_SIZE 32
#define V_FN WSF_TARGET("avx2")
#define V_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define V_XOR(a, b) _mm256_xor_si256(a, b)
#define V_OR(a, b) _mm256_or_si256(a, b)
#define V_AND(a, b) _mm256_and_si256(a, b)
#define V_KEY(key) _mm256_set1_epi32((int32_t)(key))
#define V_HIGH(v) (_mm256_movemask_epi8(v) ? 0x80 : 0)

#define V_BYTE(b) _mm256_set1_epi8((int8_t)(b))
#define V_TABLE(t) _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(t)))
#define V_LOOKUP(t, v) _mm256_shuffle_epi8(t, v)
#define V_NIBBLE(v) _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0F))
#define V_SUBS(a, b) _mm256_subs_epu8(a, b)
#define V_PREV(v, p, k) _mm256_alignr_epi8(v, _mm256_permute2x128_si256(p, v, 0x21), 16 - (k))
#define V_ASCII(v) (_mm256_movemask_epi8(v) == 0)
#define V_NONE(v) _mm256_testz_si256(v, v)

#include "mask_tpl.h"
#include "utf8_tpl.h"

const wsf_kernels wsf_kernels_avx2 = {"avx2", mask_tpl, utf8_bulk_tpl};

#else
typedef int wsf_kernels_avx2_not_for_this_machine;
#endif
