/* naive.h - what the RFCs say, written once more and slowly: what the core is compared with. */
#ifndef NAIVE_H
#define NAIVE_H

#include "fuzz.h"

/* UTF-8 by the rows of RFC 3629 section 4, one byte after the other. The length of what is
 * well-formed, and of the ill-formed start behind it; 0 where there is none. cut: the end came. */
static inline size_t naive_utf8(const uint8_t *p, size_t n, size_t *bad, bool *cut)
{
    static const uint8_t rows[][5] = {
        /* first byte from, to; second byte from, to; bytes in all */
        {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    size_t at = 0;
    *bad = 0;
    *cut = false;
    while (at < n) {
        const uint8_t *row = NULL;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (p[at] >= rows[i][0] && p[at] <= rows[i][1])
                row = rows[i];
        const size_t number = row ? (size_t)(row - rows[0]) / sizeof *rows : 9u + p[at] / 32u;
        size_t right = row ? 1 : 0;
        for (; row && right < row[4]; right++) {
            const uint8_t low = right == 1 ? row[2] : 0x80, high = right == 1 ? row[3] : 0xBF;
            if (at + right == n) {
                WORTH(600 + 4 * number + right);
                *cut = true;
                return at;
            }
            if (p[at + right] < low || p[at + right] > high) {
                WORTH(16 * (3 * number + right) + p[at + right] / 16);
                break;
            }
        }
        if (!row || right < row[4]) {
            WORTH(700 + number);
            *bad = right ? right : 1;
            return at;
        }
        WORTH(800 + number);
        at += right;
    }
    return at;
}

/* Each magnitude in each form, and the borders between the forms. */
static inline void worth_length(uint64_t length, size_t width)
{
    static const uint64_t borders[] = {125, 126, 127, 65535, 65536};
    size_t bits = 0;
    for (uint64_t rest = length; rest; rest /= 2)
        bits++;
    WORTH(820 + 65 * (width ? width / 8 + 1 : 0) + bits);
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++)
        if (length == borders[i])
            WORTH(1016 + i);
}

/* A header, RFC 6455 section 5.2, by arithmetic, in the order of precedence of docs/api.md (not the
 * late one). Its size, which may be more than n; 0 while that is not known; or -error and *fault. */
static inline int naive_header(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *f,
                               size_t *fault)
{
    *fault = 0;
    if (n < 1)
        return 0;
    f->fin = p[0] >= 128;
    f->rsv = p[0] / 16 % 8;
    f->opcode = p[0] % 16;
    const bool data = f->opcode == 1 || f->opcode == 2, control = f->opcode / 8 == 1;
    if (!(data || f->opcode == 0 || (f->opcode >= 8 && f->opcode <= 10)))
        return -wsf_e_invalid_opcode;
    if (f->rsv & ~(data ? policy->rsv : 0))
        return -wsf_e_reserved_bits;
    if (control && !f->fin)
        return -wsf_e_control_fragmented;
    if (n < 2)
        return 0;
    *fault = 1;
    f->masked = p[1] >= 128;
    f->length = p[1] % 128;
    if (control && f->length > 125)
        return -wsf_e_control_too_long;
    if (policy->mask == WSF_MASK_REQUIRE && !f->masked)
        return -wsf_e_mask_required;
    if (policy->mask == WSF_MASK_FORBID && f->masked)
        return -wsf_e_mask_forbidden;
    const size_t width = f->length < 126 ? 0 : f->length == 126 ? 2 : 8;
    if (n < 2 + width)
        return 0;
    *fault = 2;
    for (size_t i = 0; i < width; i++)
        f->length = (i ? f->length * 256 : 0) + p[2 + i];
    worth_length(f->length, width);
    if (width && policy->minimal_length && f->length < (width == 2 ? 126 : 65536))
        return -wsf_e_length_not_minimal;
    if (f->length > INT64_MAX && policy->msb == WSF_MSB_REJECT)
        return -wsf_e_length_msb;
    if (f->length > INT64_MAX && policy->msb == WSF_MSB_TOO_BIG)
        return -wsf_e_frame_too_big;
    f->size = (uint8_t)(2 + width + (f->masked ? 4 : 0));
    if (f->masked && f->size <= n)
        memcpy(f->key, p + 2 + width, 4);
    return f->size;
}

/* What becomes of a whole stream: section 5.4 and the limits. */
typedef struct naive_stream {
    size_t frames; /* complete */
    size_t position;
    int error;
    bool unfinished;
} naive_stream;

typedef struct naive_message {
    bool open, inflates;
    uint64_t received, fragments;
} naive_message;

static inline int naive_order(const naive_message *m, const wsf_frame *f, const wsf_limits *limits,
                              bool inflates, size_t *fault)
{
    const bool control = f->opcode >= 8, continues = !f->opcode && m->open;
    *fault = 1;
    if (f->length > limits->max_frame)
        return -wsf_e_frame_too_big;
    const uint64_t before = continues ? m->received : 0;
    const bool free = continues ? m->inflates : inflates && f->rsv >= WSF_RSV1;
    if (!control && !free && limits->max_message != WSF_UNLIMITED &&
        (before > limits->max_message || f->length > limits->max_message - before))
        return -wsf_e_message_too_big;
    *fault = 0;
    if (!control && f->opcode && m->open)
        return -wsf_e_expected_continuation;
    if (!f->opcode && !m->open)
        return -wsf_e_unexpected_continuation;
    return continues && m->fragments == limits->max_fragments ? -wsf_e_too_many_fragments : 0;
}

static inline naive_stream naive_decode(const uint8_t *p, size_t n, wsf_policy policy,
                                        const wsf_limits *limits, bool inflates)
{
    naive_stream s = {0};
    naive_message m = {0};
    policy.rsv |= inflates ? WSF_RSV1 : 0;
    while (s.position < n) {
        wsf_frame f = {0};
        size_t fault;
        const size_t left = n - s.position;
        const int size = naive_header(p + s.position, left, &policy, &f, &fault);
        s.error = size > 0 ? naive_order(&m, &f, limits, inflates, &fault) : size;
        if (s.error < 0) {
            s.position += fault;
            return s;
        }
        if (!size || (size_t)size > left || f.length > left - (size_t)size) {
            s.unfinished = true;
            s.position = n;
            return s;
        }
        s.frames++;
        s.position += (size_t)size + (size_t)f.length;
        if (f.opcode == WSF_CLOSE) {
            s.position = n;
            return s;
        }
        if (f.opcode > WSF_CLOSE)
            continue;
        if (f.opcode)
            m = (naive_message){.inflates = inflates && f.rsv >= WSF_RSV1};
        m.received += m.inflates ? 0 : f.length;
        m.fragments++;
        m.open = !f.fin;
    }
    s.unfinished = m.open;
    return s;
}

#endif
