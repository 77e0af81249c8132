/* header - against a naive reader; built and parsed again; every prefix; the short cut; what a late
 * policy puts off. */
#include "naive.h"

static bool same(const wsf_frame *a, const wsf_frame *b)
{
    return a->length == b->length && a->opcode == b->opcode && a->rsv == b->rsv &&
           a->fin == b->fin && a->masked == b->masked &&
           (!a->masked || memcmp(a->key, b->key, 4) == 0);
}

/* Every prefix says "need more", or what the whole says. */
static void check_prefixes(const uint8_t *p, size_t n, const wsf_policy *policy, int whole,
                           size_t fault)
{
    for (size_t m = 0; m < n && m <= WSF_MAX_HEADER; m++) {
        uint8_t *prefix = alone(p, m);
        wsf_frame frame = {0};
        size_t at = 99;
        const int found = wsf_header_parse(prefix, m, policy, &frame, &at);
        free(prefix);
        DEMAND(found == 0 || found == whole);
        DEMAND(found >= 0 || at == fault);
        DEMAND(found < 0 || at == 99);
        if (whole < 0 && m > fault && fault < 2 && m >= 2)
            DEMAND(found == whole);
    }
}

/* Built again it is the same; byte for byte where its length was minimal. */
static void check_built(const uint8_t *p, const wsf_policy *policy, const wsf_frame *frame)
{
    uint8_t built[WSF_MAX_HEADER];
    wsf_frame again = {0};
    size_t fault;
    const size_t size = wsf_header_build(built, frame);
    DEMAND(size == wsf_header_size(frame->length, frame->masked));
    DEMAND(size <= frame->size);
    if (size == frame->size)
        DEMAND(memcmp(built, p, size) == 0);
    DEMAND(size == frame->size || !policy->minimal_length);
    uint8_t *copy = alone(built, size);
    DEMAND(wsf_header_parse(copy, size, policy, &again, &fault) == (int)size);
    free(copy);
    DEMAND(same(frame, &again) && again.size == size);
}

/* RSV, control FIN and control length: told at the header, or put off and then told alike. */
static void check_late(const uint8_t *p, size_t n, wsf_policy policy)
{
    wsf_frame frame = {0}, late_frame = {0};
    size_t fault = 0, late_fault = 0;
    policy.late = false;
    const int early = wsf_header_parse(p, n, &policy, &frame, &fault);
    policy.late = true;
    int late = wsf_header_parse(p, n, &policy, &late_frame, &late_fault);
    if (late <= 0)
        return;
    const int size = late;
    late = wsf_header_form(&late_frame, policy.rsv, &late_fault);
    if (early == -wsf_e_control_too_long && !late && !policy.minimal_length)
        return; /* told by the 7 bits of the length, put off by the length they lead to */
    DEMAND(early == (late ? late : size));
    DEMAND(early > 0 || fault == late_fault);
}

static void check_naive(const uint8_t *p, size_t n, wsf_policy policy)
{
    wsf_frame naive = {0}, frame = {0};
    size_t naive_fault = 0, fault = 0;
    policy.late = false;
    const int expected = naive_header(p, n, &policy, &naive, &naive_fault);
    DEMAND(wsf_header_parse(p, n, &policy, &frame, &fault) == expected);
    DEMAND(expected >= 0 || fault == naive_fault);
    DEMAND(expected <= 0 || (same(&frame, &naive) && frame.size == naive.size));
}

static void check_short(const uint8_t *p, size_t n, const wsf_policy *policy)
{
    wsf_frame quick = {0}, frame = {0};
    size_t fault;
    const int size = wsf_header_short(p, n, policy, &quick);
    if (!size)
        return;
    DEMAND(wsf_header_parse(p, n, policy, &frame, &fault) == size);
    DEMAND(same(&quick, &frame) && quick.size == size && frame.size == size);
    DEMAND(frame.length <= n - (size_t)size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const wsf_policy policy = take_policy(&in);
    wsf_frame frame = {0};
    size_t fault = 99;
    uint8_t *p = alone(in.p, in.n);
    const int found = wsf_header_parse(p, in.n, &policy, &frame, &fault);
    DEMAND(found <= WSF_MAX_HEADER && found > -WSF_ERROR_COUNT);
    DEMAND(found >= 0 || fault < in.n);
    check_prefixes(p, in.n, &policy, found, fault);
    check_naive(p, in.n, policy);
    check_late(p, in.n, policy);
    check_short(p, in.n, &policy);
    if (found > 0 && (size_t)found <= in.n)
        check_built(p, &policy, &frame);
    free(p);
    return 0;
}
