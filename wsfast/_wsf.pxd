"""The C core (include/wsf.h) as Cython sees it."""

from libc.stdint cimport uint8_t, uint16_t, uint64_t


cdef extern from "wsf.h" nogil:
    enum:
        WSF_MAX_HEADER
        WSF_MAX_CONTROL
        WSF_RSV1
        WSF_CONT
        WSF_TEXT
        WSF_BINARY
        WSF_CLOSE
        WSF_PING
        WSF_PONG
        WSF_UTF8_VALID
        WSF_UTF8_CUT
        WSF_UTF8_INVALID
        WSF_ERROR_COUNT
        wsf_e_invalid_opcode
        wsf_e_control_fragmented
        wsf_e_control_too_long
        wsf_e_mask_required
        wsf_e_frame_too_big
        wsf_e_message_too_big
        wsf_e_unexpected_continuation
        wsf_e_expected_continuation
        wsf_e_close_code
        wsf_e_invalid_utf8
        wsf_e_unexpected_eof
    const uint64_t WSF_UNLIMITED

    const char *wsf_error_name(int error) noexcept
    const char *wsf_error_text(int error) noexcept
    int wsf_error_close_code(int error) noexcept

    void wsf_init() noexcept
    const char *wsf_selected() noexcept
    bint wsf_select(const char *isa) noexcept
    const char *wsf_available(size_t index) noexcept

    bint wsf_mask(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t *key,
                  uint64_t position) noexcept

    int wsf_utf8_check(const uint8_t *p, size_t n, size_t *valid, size_t *bad) noexcept
    size_t wsf_utf8_count(const uint8_t *p, size_t n) noexcept
    ctypedef struct wsf_utf8:
        uint64_t lead
        uint8_t carry[3]
        uint8_t held
    bint wsf_utf8_feed(wsf_utf8 *u, const uint8_t *p, size_t n, uint64_t at, uint64_t *fault,
                       size_t *bad) noexcept

    ctypedef struct wsf_policy:
        uint8_t mask
        uint8_t msb
        uint8_t rsv
        bint minimal_length
        bint late
        bint any_close_code
    ctypedef struct wsf_limits:
        uint64_t max_message
        uint64_t max_frame
        uint64_t max_fragments
    ctypedef struct wsf_frame:
        uint64_t length
        uint64_t offset
        uint8_t key[4]
        uint8_t opcode
        uint8_t rsv
        uint8_t size
        bint fin
        bint masked
    int wsf_header_parse(const uint8_t *p, size_t n, const wsf_policy *policy, wsf_frame *frame,
                         size_t *fault) noexcept
    size_t wsf_header_size(uint64_t length, bint masked) noexcept
    size_t wsf_header_build(uint8_t *out, const wsf_frame *frame) noexcept
    int wsf_header_form(const wsf_frame *frame, uint8_t rsv, size_t *fault) noexcept

    bint wsf_close_code_allowed(uint64_t code) noexcept
    int wsf_close_parse(const uint8_t *p, size_t n, bint any_code, uint16_t *code,
                        size_t *fault) noexcept

    ctypedef struct wsf_decoder:
        pass
    ctypedef struct wsf_span:
        wsf_frame frame
        const uint8_t *data
        size_t size
        uint64_t at
        uint8_t message
        bint last
        bint inflate
    size_t wsf_decoder_size() noexcept
    void wsf_decoder_init(wsf_decoder *d, const wsf_policy *policy, const wsf_limits *limits,
                          bint inflates) noexcept
    int wsf_decoder_next(wsf_decoder *d, const uint8_t *chunk, size_t n, size_t *pos,
                         wsf_span *span) noexcept
    uint64_t wsf_decoder_position(const wsf_decoder *d) noexcept
    size_t wsf_decoder_held(const wsf_decoder *d) noexcept
    bint wsf_decoder_unfinished(const wsf_decoder *d) noexcept
