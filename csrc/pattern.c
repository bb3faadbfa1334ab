#include "pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 64, MAX_WORDS = 128 };

/* --- characters --------------------------------------------------------------------------------------------- */

uint32_t pb_rune_decode(const char *text, size_t length, size_t *size)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *bytes = (const uint8_t *)text;
    size_t more = bytes[0] < 0x80 ? 0 : bytes[0] >= 0xc2 && bytes[0] < 0xe0 ? 1 : (bytes[0] & 0xf0) == 0xe0 ? 2
                : bytes[0] >= 0xf0 && bytes[0] < 0xf5 ? 3 : 4;
    uint32_t rune;

    *size = 1;
    if (more == 0)
        return bytes[0];
    if (more == 4 || more >= length)
        return bytes[0] | PB_RAW_BYTE;
    rune = bytes[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return bytes[0] | PB_RAW_BYTE;
        rune = rune << 6 | (bytes[i] & 0x3f);
    }
    if (rune < least[more + 1] || rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000))
        return bytes[0] | PB_RAW_BYTE;
    *size = more + 1;
    return rune;
}

size_t pb_rune_encode(uint32_t rune, char *ret)
{
    if (rune & PB_RAW_BYTE || rune < 0x80) {
        ret[0] = (char)(uint8_t)rune;
        return 1;
    }
    if (rune < 0x800) {
        ret[0] = (char)(0xc0 | rune >> 6);
        ret[1] = (char)(0x80 | (rune & 0x3f));
        return 2;
    }
    if (rune < 0x10000) {
        ret[0] = (char)(0xe0 | rune >> 12);
        ret[1] = (char)(0x80 | (rune >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (rune & 0x3f));
        return 3;
    }
    ret[0] = (char)(0xf0 | rune >> 18);
    ret[1] = (char)(0x80 | (rune >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (rune >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (rune & 0x3f));
    return 4;
}

/* --- compiling ------------------------------------------------------------------------------------------------ */

typedef struct {
    const char *at, *end;
} reader;

static uint32_t next_rune(reader *from)
{
    size_t size;
    uint32_t rune = pb_rune_decode(from->at, (size_t)(from->end - from->at), &size);
    from->at += size;
    return rune;
}

/* One end of a range inside a class: a character, or any after a backslash. */
static int class_member(reader *from, uint32_t *ret)
{
    if (from->at == from->end || *from->at == '-' || *from->at == ']')
        return -EINVAL;
    if (*from->at == '\\' && ++from->at == from->end)
        return -EINVAL;
    *ret = next_rune(from);
    return 0;
}

/* Parse what stands behind a `[`, up to and with its `]`: ranges, and a leading ^, as in Go. */
static int parse_class(reader *from, int flags, pb_pattern *pattern, pb_token *ret)
{
    ret->kind = PB_TOKEN_CLASS;
    ret->first_range = (uint32_t)pattern->range_count;
    if (from->at < from->end && *from->at == '^') {
        ret->negated = 1;
        from->at++;
    }
    for (;;) {
        pb_range *range = &pattern->ranges[pattern->range_count]; /* there is room: each takes a byte of the text */
        int failed;
        if (from->at < from->end && *from->at == ']' && ret->range_count) {
            from->at++;
            return 0;
        }
        failed = class_member(from, &range->low);
        if (failed)
            return failed;
        range->high = range->low;
        if (from->at < from->end && *from->at == '-') {
            from->at++;
            failed = class_member(from, &range->high);
            if (failed)
                return failed;
            if (range->high < range->low && !(flags & PB_PATTERN_NAME))
                return -EINVAL;
        }
        pattern->range_count++;
        ret->range_count++;
    }
}

static int is_literal(const char *at, const char *end)
{
    while (at < end && *at && !strchr("*?[]\\", *at))
        at++;
    return at == end;
}

/* What stands for two stars, which have been read. A slash behind them belongs to them. */
static void parse_deep(reader *from, pb_pattern *pattern)
{
    int first = pattern->count == 0, slash = from->at < from->end && *from->at == '/';

    from->at += slash;
    if (from->at == from->end) {
        pattern->tokens[pattern->count++].kind = PB_TOKEN_DEEP;
        return;
    }
    pattern->tokens[pattern->count++].kind = PB_TOKEN_DEEP_FOLDER;
    if (first && !slash && is_literal(from->at, from->end)) /* `**.c` is any path that ends so, but `**.?` is not */
        pattern->tokens[pattern->count++].kind = PB_TOKEN_STAR;
}

static int parse(reader *from, int flags, pb_pattern *pattern)
{
    while (from->at < from->end) {
        pb_token *now = &pattern->tokens[pattern->count];
        char byte = *from->at;
        if (byte == '*') {
            from->at++;
            if (!(flags & PB_PATTERN_NAME) && from->at < from->end && *from->at == '*') {
                from->at++;
                parse_deep(from, pattern);
                continue;
            }
            now->kind = PB_TOKEN_STAR;
        } else if (byte == '?') {
            from->at++;
            now->kind = PB_TOKEN_ANY;
        } else if (byte == '[') {
            int failed;
            from->at++;
            failed = parse_class(from, flags, pattern, now);
            if (failed)
                return failed;
        } else {
            if (byte == '\\' && ++from->at == from->end)
                return -EINVAL;
            now->kind = PB_TOKEN_RUNE;
            now->rune = next_rune(from);
        }
        pattern->count++;
    }
    return 0;
}

int pb_pattern_compile(const char *text, size_t length, int flags, pb_pattern *ret)
{
    reader from = {text, text + length};
    pb_pattern pattern = {.tokens = calloc(length + 2, sizeof *pattern.tokens),
                          .ranges = calloc(length + 1, sizeof *pattern.ranges)};
    int failed = pattern.tokens && pattern.ranges ? parse(&from, flags, &pattern) : -ENOMEM;

    if (!failed && pattern.count / WORD + 1 > MAX_WORDS)
        failed = -E2BIG;
    if (failed)
        pb_pattern_cleanup(&pattern);
    else
        *ret = pattern;
    return failed;
}

void pb_pattern_cleanup(pb_pattern *pattern)
{
    free(pattern->tokens);
    free(pattern->ranges);
    memset(pattern, 0, sizeof *pattern);
}

/* --- matching ---------------------------------------------------------------------------------------------------- */

int pb_token_holds(const pb_pattern *pattern, const pb_token *token, uint32_t rune)
{
    for (uint32_t i = 0; i < token->range_count; i++) {
        const pb_range *range = &pattern->ranges[token->first_range + i];
        if (rune >= range->low && rune <= range->high)
            return !token->negated;
    }
    return token->negated;
}

/* Add a state and those that follow from it without a character. */
static void enter(const pb_pattern *pattern, uint64_t *set, size_t state)
{
    for (;; state++) {
        uint8_t kind;
        set[state / WORD] |= UINT64_C(1) << (state % WORD);
        if (state == pattern->count)
            return;
        kind = pattern->tokens[state].kind;
        if (kind != PB_TOKEN_STAR && kind != PB_TOKEN_DEEP && kind != PB_TOKEN_DEEP_FOLDER)
            return;
    }
}

/* One state with one character: adds the states it leads to. */
static void step(const pb_pattern *pattern, size_t state, uint32_t rune, uint64_t *to)
{
    const pb_token *now = &pattern->tokens[state];

    switch (now->kind) {
    case PB_TOKEN_RUNE:
        if (rune == now->rune)
            enter(pattern, to, state + 1);
        return;
    case PB_TOKEN_ANY:
        if (rune != '/')
            enter(pattern, to, state + 1);
        return;
    case PB_TOKEN_CLASS:
        if (pb_token_holds(pattern, now, rune))
            enter(pattern, to, state + 1);
        return;
    case PB_TOKEN_STAR:
        if (rune != '/')
            enter(pattern, to, state);
        return;
    case PB_TOKEN_DEEP:
        enter(pattern, to, state);
        return;
    default: /* the end of a DEEP_FOLDER is only behind a slash */
        to[state / WORD] |= UINT64_C(1) << (state % WORD);
        if (rune == '/')
            enter(pattern, to, state + 1);
        return;
    }
}

static int advance(const pb_pattern *pattern, const uint64_t *from, uint64_t *to, uint32_t rune)
{
    size_t words = pattern->count / WORD + 1;
    uint64_t alive = 0;

    memset(to, 0, words * sizeof *to);
    for (size_t word = 0; word < words; word++)
        for (uint64_t left = from[word]; left; left &= left - 1) {
            size_t state = word * WORD + (size_t)__builtin_ctzll(left);
            if (state < pattern->count)
                step(pattern, state, rune, to);
        }
    for (size_t word = 0; word < words; word++)
        alive |= to[word];
    return alive != 0;
}

int pb_pattern_match(const pb_pattern *pattern, const char *text, size_t length, int *deeper)
{
    uint64_t sets[2][MAX_WORDS];
    int now = 0;

    if (deeper)
        *deeper = 0;
    memset(sets[0], 0, (pattern->count / WORD + 1) * sizeof sets[0][0]);
    enter(pattern, sets[0], 0);
    for (size_t at = 0, size; at < length; at += size) {
        uint32_t rune = pb_rune_decode(text + at, length - at, &size);
        if (!advance(pattern, sets[now], sets[!now], rune))
            return 0;
        now = !now;
    }
    if (deeper)
        *deeper = advance(pattern, sets[now], sets[!now], '/');
    return (int)(sets[now][pattern->count / WORD] >> (pattern->count % WORD) & 1);
}
