/* decoder - any bytes under any policy and limits: whole, byte by byte and in random chunks, with
 * every set of kernels, a caller sees the same frames, payloads and verdict, and as many frames and
 * the same verdict as a naive reader. */
#include "naive.h"

/* What a caller sees of a stream, however it is cut. */
typedef struct history {
    uint8_t *bytes;
    size_t size, room;
} history;

static void add(history *h, const void *p, size_t n)
{
    if (h->room - h->size < n) {
        h->room = 2 * h->room + n + 256;
        h->bytes = realloc(h->bytes, h->room);
        DEMAND(h->bytes);
    }
    memcpy(h->bytes + h->size, p, n);
    h->size += n;
}

static void add_number(history *h, uint64_t value) { add(h, &value, sizeof value); }

typedef struct settings {
    wsf_policy policy;
    wsf_limits limits;
    bool inflates;
    uint32_t cuts;
} settings;

typedef struct reader {
    const settings *with;
    history seen, verdicts; /* of frames as they come; of texts and closes, once each */
    wsf_utf8 utf8;
    bool fault_told;
    uint64_t received, fragments; /* of the open message */
    naive_stream found;
    uint8_t close[WSF_MAX_CONTROL];
} reader;

/* The first span of a frame: what its header said, and that the limits admit it. */
static void see_frame(reader *r, const wsf_span *span)
{
    const wsf_frame *frame = &span->frame;
    const wsf_limits *limits = &r->with->limits;
    add_number(&r->seen, frame->length);
    add_number(&r->seen, frame->offset);
    const uint8_t fields[] = {frame->opcode, frame->rsv,    frame->size,  frame->fin,
                              frame->masked, span->message, span->inflate};
    add(&r->seen, fields, sizeof fields);
    DEMAND(frame->length <= limits->max_frame);
    if (frame->opcode >= WSF_CLOSE) {
        DEMAND(frame->fin && frame->length <= WSF_MAX_CONTROL && !frame->rsv && !span->inflate);
        return;
    }
    DEMAND(span->message == WSF_TEXT || span->message == WSF_BINARY);
    if (frame->opcode != WSF_CONT) {
        r->received = r->fragments = 0;
        r->utf8 = (wsf_utf8){0};
        r->fault_told = false;
    }
    DEMAND(frame->opcode == WSF_CONT || frame->opcode == span->message);
    DEMAND(++r->fragments <= limits->max_fragments || frame->opcode != WSF_CONT);
    r->received += frame->length;
    DEMAND(span->inflate || limits->max_message == WSF_UNLIMITED ||
           r->received <= limits->max_message);
}

static void judge_payload(reader *r, const wsf_span *span, const uint8_t *clear)
{
    uint64_t fault = 0;
    size_t bad = 0, close_fault = 0;
    uint16_t code = 0;
    if (span->frame.opcode == WSF_CLOSE) {
        memcpy(r->close + span->at, clear, span->size);
        if (!span->last)
            return;
        const int found = wsf_close_parse(r->close, (size_t)span->frame.length,
                                          r->with->policy.any_close_code, &code, &close_fault);
        add_number(&r->verdicts, (uint64_t)found);
        add_number(&r->verdicts, code);
        add_number(&r->verdicts, close_fault);
    } else if (span->frame.opcode < WSF_CLOSE && span->message == WSF_TEXT && !r->fault_told) {
        const uint64_t at = span->frame.offset + span->frame.size + span->at;
        if (!wsf_utf8_feed(&r->utf8, clear, span->size, at, &fault, &bad)) {
            add_number(&r->verdicts, fault);
            add_number(&r->verdicts, bad);
            r->fault_told = true;
        }
    }
}

static void see(reader *r, const wsf_span *span, const uint8_t *chunk, size_t n)
{
    DEMAND(span->data >= chunk && span->data <= chunk + n);
    DEMAND(span->size <= (size_t)(chunk + n - span->data));
    DEMAND(span->size <= span->frame.length - span->at);
    DEMAND(span->last == (span->at + span->size == span->frame.length));
    if (span->at == 0)
        see_frame(r, span);
    r->found.frames += span->last;
    uint8_t *clear = alone(span->data, span->size);
    const uint8_t *key = span->frame.masked ? span->frame.key : NULL;
    wsf_mask(clear, span->data, span->size, key, span->at);
    add(&r->seen, clear, span->size);
    judge_payload(r, span, clear);
    free(clear);
}

/* 0, or the error that ended it. */
static int feed(reader *r, wsf_decoder *d, const uint8_t *p, size_t n)
{
    uint8_t *chunk = alone(p, n);
    size_t pos = 0;
    int found;
    wsf_span span = {0};
    while ((found = wsf_decoder_next(d, chunk, n, &pos, &span)) > 0) {
        DEMAND(pos <= n);
        see(r, &span, chunk, n);
    }
    DEMAND(found < 0 || pos == n);
    free(chunk);
    return found;
}

enum { WHOLE, BYTES, CUTS };

static reader decode(const settings *with, const uint8_t *p, size_t n, int way)
{
    reader r = {.with = with};
    wsf_decoder *d = malloc(wsf_decoder_size());
    uint32_t cuts = with->cuts;
    int found = 0;
    DEMAND(d);
    wsf_decoder_init(d, &with->policy, &with->limits, with->inflates);
    for (size_t at = 0; at < n && !found;) {
        const size_t size = way == WHOLE ? n : way == BYTES ? 1 : next_cut(&cuts, n - at);
        found = feed(&r, d, p + at, size);
        at += size;
        DEMAND(found < 0 ? wsf_decoder_position(d) < at : wsf_decoder_position(d) == at);
    }
    add_number(&r.verdicts, (uint64_t)found);
    add_number(&r.verdicts, wsf_decoder_position(d));
    r.found.error = found;
    r.found.position = (size_t)wsf_decoder_position(d);
    r.found.unfinished = !found && wsf_decoder_unfinished(d);
    add_number(&r.verdicts, found ? 0 : wsf_decoder_held(d));
    add_number(&r.verdicts, r.found.unfinished);
    free(d);
    return r;
}

static void forget(reader *r)
{
    free(r->seen.bytes);
    free(r->verdicts.bytes);
}

static bool same(const history *a, const history *b)
{
    return a->size == b->size && (!a->size || memcmp(a->bytes, b->bytes, a->size) == 0);
}

static void check_naive(const settings *with, const uint8_t *p, size_t n, const naive_stream *found)
{
    const naive_stream s = naive_decode(p, n, with->policy, &with->limits, with->inflates);
    DEMAND(found->error == s.error);
    DEMAND(found->frames == s.frames);
    DEMAND(found->position == s.position);
    DEMAND(found->unfinished == s.unfinished);
}

static settings take_settings(input *in)
{
    static const uint64_t bounds[] = {
        WSF_UNLIMITED, 1 << 20, 0, 1, 5, 32, 125, 126, 300, (UINT64_C(1) << 63) - 1};
    static const uint64_t counts[] = {WSF_UNLIMITED, 65537, 1, 2, 3};
    settings with = {.policy = take_policy(in)};
    with.limits.max_message = bounds[take(in) % 10];
    with.limits.max_frame = bounds[take(in) % 10];
    with.limits.max_fragments = counts[take(in) % 5];
    with.inflates = take(in) & 1;
    with.cuts = take(in);
    return with;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {data, size};
    const settings with = take_settings(&in);
    reader first = {0};
    const char *isa;
    for (size_t i = 0; (isa = wsf_available(i)) != NULL; i++) {
        DEMAND(wsf_select(isa));
        for (int way = WHOLE; way <= CUTS; way++) {
            reader r = decode(&with, in.p, in.n, way);
            if (!first.with) {
                first = r;
                continue;
            }
            DEMAND(same(&r.seen, &first.seen));
            DEMAND(same(&r.verdicts, &first.verdicts));
            forget(&r);
        }
    }
    if (!with.policy.late)
        check_naive(&with, in.p, in.n, &first.found);
    forget(&first);
    return 0;
}
