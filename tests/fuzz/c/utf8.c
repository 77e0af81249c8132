/* utf8 - every kernel against a naive reader of RFC 3629; texts in pieces against the whole. */
#include "naive.h"

static void check_whole(const uint8_t *p, size_t n, size_t good, size_t bad, bool cut)
{
    size_t valid, wrong;
    uint8_t *text = alone(p, n);
    const wsf_utf8_status status = wsf_utf8_check(text, n, &valid, &wrong);
    DEMAND(status == (bad ? WSF_UTF8_INVALID : cut ? WSF_UTF8_CUT : WSF_UTF8_VALID));
    DEMAND(valid == good);
    DEMAND(wrong == bad);
    free(text);
}

static void check_pieces(const uint8_t *p, size_t n, size_t good, size_t bad, uint32_t cuts,
                         uint64_t start)
{
    wsf_utf8 state = {0};
    uint64_t fault = 0;
    size_t wrong = 0;
    for (size_t at = 0; at < n;) {
        const size_t size = next_cut(&cuts, n - at);
        uint8_t *piece = alone(p + at, size);
        const bool right = wsf_utf8_feed(&state, piece, size, start + at, &fault, &wrong);
        free(piece);
        at += size;
        DEMAND(state.held <= 3);
        if (!right) { /* at the first byte that cannot be right: section 8.1 of RFC 6455 */
            DEMAND(bad && fault == start + good && wrong == bad);
            DEMAND(at > good + (bad > 1 ? bad - 1 : 0));
            return;
        }
        DEMAND(!bad || at < good + bad + 1);
    }
    DEMAND(!bad);
    DEMAND(state.held == n - good);
    DEMAND(!state.held || state.lead == start + good);
}

/* Between so many ASCII bytes that every vector sees it, at any place: vectors have no branches
 * whose coverage could lead the fuzzer to them. */
static void check_between(const uint8_t *p, size_t n, size_t before)
{
    enum { BEHIND = 64 };
    const size_t all = before + n + BEHIND;
    uint8_t *text = malloc(all);
    DEMAND(text);
    memset(text, 'a', all);
    if (n)
        memcpy(text + before, p, n);
    size_t bad;
    bool cut;
    const size_t good = naive_utf8(text, all, &bad, &cut);
    check_whole(text, all, good, bad, cut);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const uint32_t cuts = take(&in);
    const uint64_t start = (uint64_t)take(&in) << 56;
    size_t bad;
    bool cut;
    const size_t good = naive_utf8(in.p, in.n, &bad, &cut);
    const char *isa;
    for (size_t i = 0; (isa = wsf_available(i)) != NULL; i++) {
        DEMAND(wsf_select(isa));
        check_whole(in.p, in.n, good, bad, cut);
        check_pieces(in.p, in.n, good, bad, cuts, start);
        for (size_t shift = 0; shift < (in.n <= 16 ? 128 : 1); shift++)
            check_between(in.p, in.n, shift);
    }
    return 0;
}
