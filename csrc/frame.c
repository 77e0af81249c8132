/* frame.c - frame headers, RFC 6455 5.2: the only place in C that knows their bits. */
#include "wsf_internal.h"

enum { FIN = 0x80, OPCODE = 0x0F, MASK = 0x80, LENGTH = 0x7F };

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

static int fail(int error, size_t at, size_t *fault)
{
    *fault = at;
    return -error;
}

static bool known(uint8_t opcode)
{
    return opcode <= WSF_BINARY || (opcode >= WSF_CLOSE && opcode <= WSF_PONG);
}

static int first_byte_form(const wsf_frame *frame, uint8_t rsv, size_t *fault)
{
    const bool starts_message = frame->opcode == WSF_TEXT || frame->opcode == WSF_BINARY;
    if (frame->rsv & (starts_message ? ~rsv : 7)) /* 5.2; RFC 7692 6: on the first frame only */
        return fail(wsf_e_reserved_bits, 0, fault);
    if (frame->opcode >= WSF_CLOSE && !frame->fin)
        return fail(wsf_e_control_fragmented, 0, fault);
    return 0;
}

int wsf_header_form(const wsf_frame *frame, uint8_t rsv, size_t *fault)
{
    const int error = first_byte_form(frame, rsv, fault);
    if (error)
        return error;
    if (frame->opcode >= WSF_CLOSE && frame->length > WSF_MAX_CONTROL)
        return fail(wsf_e_control_too_long, 1, fault);
    return 0;
}

/* Reads the length at p[1..]: bytes of extended length, 0 for need more, -error. At least 1. */
static int read_length(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame,
                       size_t *fault)
{
    const uint8_t short_length = p[1] & LENGTH;
    if (short_length < 126) {
        frame->length = short_length;
        return 2;
    }
    const size_t width = short_length == 126 ? 2 : 8;
    if (n < 2 + width)
        return 0;
    frame->length = big_endian(p + 2, width);
    if (policy->minimal_length && frame->length < (width == 2 ? 126u : 1u << 16))
        return fail(wsf_e_length_not_minimal, 2, fault);
    if (frame->length >> 63 && policy->msb != WSF_MSB_ACCEPT)
        return fail(policy->msb == WSF_MSB_REJECT ? wsf_e_length_msb : wsf_e_frame_too_big, 2,
                    fault);
    return 2 + (int)width;
}

/* Everything but the key, judged in the order of precedence of docs/api.md. */
static int read_fields(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame,
                       size_t *fault)
{
    if (n < 1)
        return 0;
    frame->fin = p[0] & FIN;
    frame->rsv = p[0] >> 4 & 7;
    frame->opcode = p[0] & OPCODE;
    if (!known(frame->opcode))
        return fail(wsf_e_invalid_opcode, 0, fault);
    int error = policy->late ? 0 : first_byte_form(frame, policy->rsv, fault);
    if (error)
        return error;
    if (n < 2)
        return 0;
    frame->masked = p[1] & MASK;
    if (!policy->late && frame->opcode >= WSF_CLOSE && (p[1] & LENGTH) > WSF_MAX_CONTROL)
        return fail(wsf_e_control_too_long, 1, fault);
    if (policy->mask == WSF_MASK_REQUIRE && !frame->masked) /* 5.1 */
        return fail(wsf_e_mask_required, 1, fault);
    if (policy->mask == WSF_MASK_FORBID && frame->masked)
        return fail(wsf_e_mask_forbidden, 1, fault);
    const int size = read_length(p, n, policy, frame, fault);
    if (size <= 0)
        return size;
    frame->size = (uint8_t)(size + (frame->masked ? 4 : 0));
    return frame->size;
}

int wsf_header_parse(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame,
                     size_t *fault)
{
    const int size = read_fields(p, n, policy, frame, fault);
    if (size > 0 && (size_t)size <= n && frame->masked)
        memcpy(frame->key, p + size - 4, 4);
    return size;
}

int wsf_header_short(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame)
{
    if (n < 2 || (p[0] != (FIN | WSF_TEXT) && p[0] != (FIN | WSF_BINARY)))
        return 0;
    const uint8_t length = p[1] & LENGTH;
    const bool masked = p[1] & MASK;
    const size_t size = masked ? 6 : 2;
    if (length > 125 || n < size + length)
        return 0;
    if (policy->mask != WSF_MASK_ANY && masked != (policy->mask == WSF_MASK_REQUIRE))
        return 0;
    frame->length = length;
    frame->opcode = p[0] & OPCODE;
    frame->rsv = 0;
    frame->size = (uint8_t)size;
    frame->fin = true;
    frame->masked = masked;
    if (masked)
        memcpy(frame->key, p + 2, 4);
    return (int)size;
}

size_t wsf_header_size(uint64_t length, bool masked)
{
    return (length < 126 ? 2u : length < 1u << 16 ? 4u : 10u) + (masked ? 4u : 0u);
}

size_t wsf_header_build(uint8_t out[WSF_MAX_HEADER], const wsf_frame *frame)
{
    const uint64_t length = frame->length;
    const uint8_t mask = frame->masked ? MASK : 0;
    size_t size = 2;
    out[0] = (uint8_t)((frame->fin ? FIN : 0) | frame->rsv << 4 | frame->opcode);
    if (length < 126) {
        out[1] = (uint8_t)(mask | length);
    } else {
        const size_t width = length < 1u << 16 ? 2 : 8;
        out[1] = mask | (width == 2 ? 126 : 127);
        for (size_t i = 0; i < width; i++)
            out[2 + i] = (uint8_t)(length >> 8 * (width - 1 - i));
        size += width;
    }
    if (frame->masked) {
        memcpy(out + size, frame->key, 4);
        size += 4;
    }
    return size;
}
