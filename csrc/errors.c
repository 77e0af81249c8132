/* errors.c - the table of wsf.h at run time. */
#include "wsf_internal.h"

typedef struct entry {
    const char *name, *text;
    int close_code;
} entry;

static const entry table[WSF_ERROR_COUNT] = {
    {"", "", 0},
#define WSF_ENTRY(name, close_code, text) {#name, text, close_code},
    WSF_ERRORS(WSF_ENTRY)
#undef WSF_ENTRY
};

const char *wsf_error_name(int error) { return table[error].name; }
const char *wsf_error_text(int error) { return table[error].text; }
int wsf_error_close_code(int error) { return table[error].close_code; }
