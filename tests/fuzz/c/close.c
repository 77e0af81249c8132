/* close - close payloads against the lists of section 7.4 and a naive reader of UTF-8. */
#include "naive.h"

/* Section 7.4.1, and the IANA registry up to 1014. */
static bool allowed(unsigned code)
{
    switch (code) {
    case 1000: case 1001: case 1002: case 1003: case 1007: case 1008: case 1009: case 1010:
    case 1011: case 1012: case 1013: case 1014:
        return true;
    default:
        return code / 1000 == 3 || code / 1000 == 4;
    }
}

/* Where what is allowed begins and ends. */
static const unsigned borders[] = {999,  1000, 1003, 1004, 1005, 1006, 1007, 1014,
                                   1015, 1016, 2999, 3000, 4999, 5000};

static int judged(const uint8_t *p, size_t n, bool any_code, unsigned *code, size_t *fault)
{
    size_t bad;
    bool cut;
    *code = 1005;
    *fault = 0;
    if (n < 2)
        return n ? -wsf_e_close_length : 1;
    *code = p[0] * 256u + p[1];
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++)
        if (*code == borders[i])
            WORTH(900 + i);
    if (!any_code && !allowed(*code))
        return -wsf_e_close_code;
    const size_t good = naive_utf8(p + 2, n - 2, &bad, &cut);
    if (good == n - 2)
        return 1;
    *fault = 2 + good;
    return -wsf_e_close_reason_utf8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const bool any_code = take(&in) & 1;
    unsigned code;
    size_t fault;
    const int expected = judged(in.p, in.n, any_code, &code, &fault);
    const char *isa;
    for (size_t i = 0; (isa = wsf_available(i)) != NULL; i++) {
        uint16_t found_code;
        size_t found_fault;
        uint8_t *payload = alone(in.p, in.n);
        DEMAND(wsf_select(isa));
        DEMAND(wsf_close_parse(payload, in.n, any_code, &found_code, &found_fault) == expected);
        DEMAND(found_code == code);
        DEMAND(found_fault == fault);
        free(payload);
    }
    return 0;
}
