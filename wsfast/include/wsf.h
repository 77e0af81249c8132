/* wsf.h - the C core of wsfast: masking, UTF-8, WebSocket frames (RFC 6455).
 *
 * Plain C11: no allocation, no I/O, no randomness, no locks, no Python. Memory belongs to the
 * caller; every function takes any alignment and any length including 0, and touches no byte
 * outside the ranges it is given. Functions that parse return > 0 for bytes used or a thing found,
 * 0 for "need more bytes", and -e for wsf_error e.
 */
#ifndef WSF_H
#define WSF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WSF_MAX_HEADER 14   /* 2 + 8 length + 4 key, RFC 6455 5.2 */
#define WSF_MAX_CONTROL 125 /* payload of a control frame, 5.5 */
#define WSF_RSV1 4
#define WSF_UNLIMITED UINT64_MAX

enum wsf_opcode {
    WSF_CONT = 0x0,
    WSF_TEXT = 0x1,
    WSF_BINARY = 0x2,
    WSF_CLOSE = 0x8,
    WSF_PING = 0x9,
    WSF_PONG = 0xA
};

/* The one table of errors: name, close code (7.4.1), text. wsfast/errors.py mirrors it. */
#define WSF_ERRORS(X)                                                                              \
    X(invalid_opcode, 1002, "invalid opcode")                                                      \
    X(reserved_bits, 1002, "reserved bits must be 0")                                              \
    X(control_fragmented, 1002, "control frame is fragmented")                                     \
    X(control_too_long, 1002, "control frame is longer than 125 bytes")                            \
    X(mask_required, 1002, "frame from a client is not masked")                                    \
    X(mask_forbidden, 1002, "frame from a server is masked")                                       \
    X(length_not_minimal, 1002, "payload length is not minimally encoded")                         \
    X(length_msb, 1002, "most significant bit of the payload length is set")                       \
    X(frame_too_big, 1009, "frame exceeds the limit")                                              \
    X(message_too_big, 1009, "message exceeds the limit")                                          \
    X(too_many_fragments, 1009, "message has too many fragments")                                  \
    X(unexpected_continuation, 1002, "continuation frame without a message")                       \
    X(expected_continuation, 1002, "data frame inside a fragmented message")                       \
    X(close_length, 1002, "close payload is one byte long")                                        \
    X(close_code, 1002, "close code must not be sent")                                             \
    X(close_reason_utf8, 1007, "close reason is not valid UTF-8")                                  \
    X(invalid_utf8, 1007, "text is not valid UTF-8")                                               \
    X(deflate_error, 1002, "compressed message cannot be inflated")                                \
    X(too_slow, 1008, "peer is too slow")                                                          \
    X(unexpected_eof, 1006, "connection ended inside a frame or message")

typedef enum wsf_error {
    WSF_OK = 0,
#define WSF_ENUM(name, close_code, text) wsf_e_##name,
    WSF_ERRORS(WSF_ENUM)
#undef WSF_ENUM
    WSF_ERROR_COUNT
} wsf_error;

/* The table at run time; error is 1 .. WSF_ERROR_COUNT - 1. */
const char *wsf_error_name(int error);
const char *wsf_error_text(int error);
int wsf_error_close_code(int error);

/* ---- kernels chosen at run time --------------------------------------------------------------
 * Call wsf_init() once before anything else. wsf_select() is for tests: not while others run. */
void wsf_init(void);
const char *wsf_selected(void);
bool wsf_select(const char *isa);      /* false: unknown, or not on this CPU */
const char *wsf_available(size_t index); /* usable kernels in order of preference, then NULL */

/* ---- masking, 5.3 ----------------------------------------------------------------------------
 * dst[i] = src[i] ^ key[(position + i) % 4]; dst == src or disjoint. key NULL copies.
 * True when every byte written is ASCII. */
bool wsf_mask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t key[4], uint64_t position);

/* ---- UTF-8, RFC 3629 -------------------------------------------------------------------------*/
typedef enum wsf_utf8_status { WSF_UTF8_VALID, WSF_UTF8_CUT, WSF_UTF8_INVALID } wsf_utf8_status;

/* Checks p[0..n). *valid: bytes of whole, well-formed characters at the start. WSF_UTF8_CUT: the
 * rest could be the start of one more. WSF_UTF8_INVALID: the next *bad bytes are ill-formed. */
wsf_utf8_status wsf_utf8_check(const uint8_t *p, size_t n, size_t *valid, size_t *bad);

/* The characters of p[0..n), which is well-formed. */
size_t wsf_utf8_count(const uint8_t *p, size_t n);

/* A text in pieces; zero-initialise to start. Holds an unfinished sequence of up to 3 bytes. */
typedef struct wsf_utf8 {
    uint64_t lead; /* position of the first held byte */
    uint8_t carry[3];
    uint8_t held;
} wsf_utf8;

/* The next piece; `at` numbers its first byte. On false *fault is the number of the first byte of
 * the ill-formed sequence and *bad its length; it fails on the first byte that cannot be right. */
bool wsf_utf8_feed(wsf_utf8 *u, const uint8_t *p, size_t n, uint64_t at, uint64_t *fault,
                   size_t *bad);

/* ---- frames, 5.2 -----------------------------------------------------------------------------*/
typedef enum wsf_mask_rule { WSF_MASK_REQUIRE, WSF_MASK_FORBID, WSF_MASK_ANY } wsf_mask_rule;
typedef enum wsf_msb_rule { WSF_MSB_REJECT, WSF_MSB_TOO_BIG, WSF_MSB_ACCEPT } wsf_msb_rule;

typedef struct wsf_policy {
    uint8_t mask; /* wsf_mask_rule */
    uint8_t msb;  /* wsf_msb_rule: the top bit of a 64-bit length */
    uint8_t rsv;  /* RSV bits allowed on the first frame of a data message */
    bool minimal_length;
    bool late;           /* judge RSV, control FIN and length, order once the payload is complete */
    bool any_close_code; /* not only those 7.4 allows on the wire */
} wsf_policy;

typedef struct wsf_limits {
    uint64_t max_message, max_frame, max_fragments; /* inclusive; WSF_UNLIMITED for none */
} wsf_limits;

typedef struct wsf_frame {
    uint64_t length; /* payload bytes */
    uint64_t offset; /* position in the stream of the first header byte (decoder only) */
    uint8_t key[4];
    uint8_t opcode, rsv;
    uint8_t size; /* header bytes, key included */
    bool fin, masked;
} wsf_frame;

/* Parses the header at p, judging each byte as soon as it is there. Returns the header's size, 0
 * while that is not known, or -error with *fault the index of the bad byte. A size above n means
 * that only (part of) the key is missing. */
int wsf_header_parse(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame,
                     size_t *fault);
/* What wsf_header_build() will write, in bytes. */
size_t wsf_header_size(uint64_t length, bool masked);
/* Writes a header for frame's opcode, rsv, fin, length, masked and key; returns its size. */
size_t wsf_header_build(uint8_t out[WSF_MAX_HEADER], const wsf_frame *frame);
/* What a late policy puts off: -error for RSV bits, control FIN or control length, else 0. */
int wsf_header_form(const wsf_frame *frame, uint8_t rsv, size_t *fault);

/* ---- close payloads, 5.5.1 and 7.4 -----------------------------------------------------------*/
bool wsf_close_code_allowed(uint64_t code);
/* 1, or -error with *fault the index of the bad byte. *code is 1005 for an empty payload. */
int wsf_close_parse(const uint8_t *p, size_t n, bool any_code, uint16_t *code, size_t *fault);

/* ---- the decoder: chunks of the stream in, pieces of payload out; it copies nothing ----------*/
typedef struct wsf_decoder wsf_decoder;

typedef struct wsf_span {
    wsf_frame frame;     /* the frame these bytes belong to */
    const uint8_t *data; /* still masked, inside the caller's chunk */
    size_t size;
    uint64_t at;     /* position of data[0] in the payload */
    uint8_t message; /* data frames: WSF_TEXT or WSF_BINARY */
    bool last;       /* the payload ends here */
    bool inflate;    /* part of a compressed message, to be inflated */
} wsf_span;

size_t wsf_decoder_size(void);
/* memory: wsf_decoder_size() bytes. inflates: RSV1 is negotiated, and messages that carry it are
 * inflated by the caller, who enforces max_message on what comes out. */
void wsf_decoder_init(wsf_decoder *d, const wsf_policy *policy, const wsf_limits *limits,
                      bool inflates);
/* Takes from chunk[*pos..n). 1: *span is the next piece (call again); 0: all taken, need more;
 * -error: the peer is at fault, wsf_decoder_position() says where, and the decoder is finished.
 * After a Close frame everything is taken and discarded. */
int wsf_decoder_next(wsf_decoder *d, const uint8_t *chunk, size_t n, size_t *pos, wsf_span *span);
uint64_t wsf_decoder_position(const wsf_decoder *d); /* of the next byte, or of the one at fault */
size_t wsf_decoder_held(const wsf_decoder *d);       /* bytes of an unfinished header */
bool wsf_decoder_unfinished(const wsf_decoder *d);   /* inside a frame or a fragmented message */

#ifdef __cplusplus
}
#endif
#endif
