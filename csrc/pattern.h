/* Patterns for paths: one text compiled into tokens, run with all its states at once. */
#ifndef PB_PATTERN_H
#define PB_PATTERN_H

#include <stddef.h>
#include <stdint.h>

enum pb_token_kind {
    PB_TOKEN_RUNE,       /* this character */
    PB_TOKEN_ANY,        /* ?: one character that is no slash */
    PB_TOKEN_STAR,       /* *: characters that are no slash */
    PB_TOKEN_DEEP,       /* ** at the end: any characters */
    PB_TOKEN_DEEP_FOLDER, /* ** elsewhere: nothing, or anything that ends in a slash */
    PB_TOKEN_CLASS       /* [...] */
};

typedef struct {
    uint32_t low, high;
} pb_range;

typedef struct {
    uint8_t kind;
    uint8_t negated;     /* of a class */
    uint32_t rune;       /* code point; a byte that is no UTF-8 is its value with PB_RAW_BYTE */
    uint32_t first_range, range_count;
} pb_token;

enum { PB_RAW_BYTE = 0x40000000 };

/* Any piece of `tokens` is a pattern too: with the same ranges. */
typedef struct {
    pb_token *tokens;
    size_t count;
    pb_range *ranges;
    size_t range_count;
} pb_pattern;

enum {
    PB_PATTERN_NAME = 1 /* as Go's filepath.Match has it: `**` is `*`, and a range that goes backwards holds nothing */
};

/* Without the flag: as moby/patternmatcher has it, without its `!`. -EINVAL for a syntax error, -E2BIG, -ENOMEM. */
int pb_pattern_compile(const char *text, size_t length, int flags, pb_pattern *ret);
void pb_pattern_cleanup(pb_pattern *pattern);
/* 1 if it matches the whole text. With `deeper` (may be NULL) also whether it could match the text, a slash and more. The
 * cost is at most the text's length times the pattern's. */
int pb_pattern_match(const pb_pattern *pattern, const char *text, size_t length, int *deeper);
/* Whether a class holds a character. */
int pb_token_holds(const pb_pattern *pattern, const pb_token *token, uint32_t rune);
/* The character at a text that is not empty, and its length in bytes. What is no UTF-8 is one raw byte, as in Go. */
uint32_t pb_rune_decode(const char *text, size_t length, size_t *size);
/* A character as it stands in a path: bytes written to `ret` (room for 4). */
size_t pb_rune_encode(uint32_t rune, char *ret);

#endif
