/* close.c - close payloads, RFC 6455 5.5.1 and 7.4. */
#include "wsf_internal.h"

bool wsf_close_code_allowed(uint64_t code)
{
    /* 1004 is reserved; 1005, 1006 and 1015 describe what was not received (7.4.1). 1012..1014
     * come from the IANA registry (11.7). */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

int wsf_close_parse(const uint8_t *p, size_t n, bool any_code, uint16_t *code, size_t *fault)
{
    size_t valid, bad;
    *fault = 0;
    *code = 1005;
    if (n == 0)
        return 1;
    if (n == 1)
        return -wsf_e_close_length;
    *code = (uint16_t)(p[0] << 8 | p[1]);
    if (!any_code && !wsf_close_code_allowed(*code))
        return -wsf_e_close_code;
    if (wsf_utf8_check(p + 2, n - 2, &valid, &bad) != WSF_UTF8_VALID) {
        *fault = 2 + valid;
        return -wsf_e_close_reason_utf8;
    }
    return 1;
}
