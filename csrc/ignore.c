/* Ignore rules as moby/patternmatcher has them: the last rule that matches a path, or a folder above it, decides.
 *
 * A pattern is a small automaton over the bytes of a path, run with all its states at once, so that no pattern is slow: the
 * cost is at most the path's length times the pattern's. Because a rule that matches a folder covers everything below,
 * one run over a path also finds the matches of all folders above it, at each slash.
 */
#include "error.h"
#include "pybuild.h"

#include <errno.h>
#include <string.h>

enum token_kind {
    TOKEN_BYTE,        /* this byte */
    TOKEN_ANY,         /* ?: one byte that is no slash */
    TOKEN_STAR,        /* *: bytes that are no slash */
    TOKEN_DEEP,        /* **: any bytes */
    TOKEN_DEEP_FOLDER, /* ** and a slash: nothing, or anything that ends in a slash */
    TOKEN_CLASS        /* [...] */
};

typedef struct {
    uint8_t kind;
    uint8_t byte;
    uint32_t *set; /* 256 bits for a class */
} token;

typedef struct {
    token *tokens;
    size_t count;
    int exception; /* with a `!` in front */
} rule;

struct pb_ignore {
    rule *rules;
    size_t count;
    int has_exceptions;
    size_t words; /* of a state set, for the longest pattern */
};

enum { WORD = 64, MAX_WORDS = 128 };

static void set_bit(uint64_t *set, size_t bit)
{
    set[bit / WORD] |= UINT64_C(1) << (bit % WORD);
}

/* Add a state and those that follow from it without a byte. */
static void enter(const rule *automaton, uint64_t *set, size_t state)
{
    set_bit(set, state);
    while (state < automaton->count) {
        uint8_t kind = automaton->tokens[state].kind;
        if (kind != TOKEN_STAR && kind != TOKEN_DEEP && kind != TOKEN_DEEP_FOLDER)
            return;
        set_bit(set, ++state);
    }
}

static int step(const rule *automaton, const uint64_t *from, uint64_t *to, size_t words, uint8_t byte)
{
    int alive = 0;
    memset(to, 0, words * sizeof *to);
    for (size_t word = 0; word < words; word++) {
        for (uint64_t left = from[word]; left; left &= left - 1) {
            size_t state = word * WORD + (size_t)__builtin_ctzll(left);
            const token *now;
            if (state >= automaton->count)
                continue;
            now = &automaton->tokens[state];
            switch (now->kind) {
            case TOKEN_BYTE:
                if (byte != now->byte)
                    continue;
                enter(automaton, to, state + 1);
                break;
            case TOKEN_ANY:
                if (byte == '/')
                    continue;
                enter(automaton, to, state + 1);
                break;
            case TOKEN_CLASS:
                if (byte == '/' || !(now->set[byte / 32] >> (byte % 32) & 1))
                    continue;
                enter(automaton, to, state + 1);
                break;
            case TOKEN_STAR:
                if (byte == '/')
                    continue;
                enter(automaton, to, state);
                break;
            case TOKEN_DEEP:
                enter(automaton, to, state);
                break;
            default: /* TOKEN_DEEP_FOLDER: its end is only behind a slash */
                set_bit(to, state);
                if (byte == '/')
                    enter(automaton, to, state + 1);
                break;
            }
            alive = 1;
        }
    }
    return alive;
}

/* Whether a rule matches the path or a folder above it. With `deeper` (may be NULL) also whether it could match something
 * below the path. */
static int rule_matches(const rule *automaton, const char *path, int *deeper)
{
    uint64_t sets[2][MAX_WORDS];
    size_t words = automaton->count / WORD + 1;
    int now = 0;

    if (deeper)
        *deeper = 0;
    if (automaton->count && automaton->tokens[0].kind == TOKEN_BYTE && (uint8_t)path[0] != automaton->tokens[0].byte)
        return 0; /* most rules of most files end here */
    memset(sets[0], 0, words * sizeof sets[0][0]);
    enter(automaton, sets[0], 0);
    for (const char *at = path;; at++) {
        int accepted = (int)(sets[now][automaton->count / WORD] >> (automaton->count % WORD) & 1);
        if ((*at == '/' || !*at) && accepted && at > path)
            return 1;
        if (!*at)
            break;
        if (!step(automaton, sets[now], sets[!now], words, (uint8_t)*at))
            return 0;
        now = !now;
    }
    if (deeper)
        *deeper = step(automaton, sets[now], sets[!now], words, '/');
    return 0;
}

int pb_ignore_match(const pb_ignore *ignore, const char *path, int *deciding)
{
    if (deciding)
        *deciding = -1;
    for (size_t i = ignore->count; i-- > 0;) {
        if (rule_matches(&ignore->rules[i], path, NULL)) {
            if (deciding)
                *deciding = (int)i;
            return !ignore->rules[i].exception;
        }
    }
    return 0;
}

int pb_ignore_may_keep_below(const pb_ignore *ignore, const char *path)
{
    if (!ignore->has_exceptions)
        return 0;
    for (size_t i = 0; i < ignore->count; i++) {
        int deeper;
        if (ignore->rules[i].exception && !rule_matches(&ignore->rules[i], path, &deeper) && deeper)
            return 1;
    }
    return 0;
}

/* Parse what stands behind a `[`; the place behind its `]`, NULL if there is none. Ranges and a leading ^ as in Go. */
static const char *parse_class(const char *at, uint32_t *set)
{
    int negated = *at == '^', any = 0;
    at += negated;
    while (*at && (*at != ']' || !any)) {
        uint8_t low = (uint8_t)*at++, high;
        if (low == ']' || low == '-')
            return NULL;
        if (low == '\\' && !(low = (uint8_t)*at++))
            return NULL;
        high = low;
        if (at[0] == '-') {
            high = (uint8_t)*++at;
            if (!high || high == ']' || high == '-')
                return NULL;
            at++;
            if (high == '\\' && !(high = (uint8_t)*at++))
                return NULL;
        }
        for (unsigned byte = low; byte <= high; byte++)
            set[byte / 32] |= UINT32_C(1) << (byte % 32);
        any = 1;
    }
    if (*at != ']')
        return NULL;
    if (negated)
        for (int i = 0; i < 8; i++)
            set[i] = ~set[i];
    return at + 1;
}

static int compile(const char *pattern, rule *ret)
{
    size_t length = strlen(pattern);
    const char *at = pattern;

    ret->exception = *at == '!';
    at += ret->exception;
    ret->tokens = calloc(length + 1, sizeof *ret->tokens);
    if (!ret->tokens)
        return -ENOMEM;
    while (*at) {
        token *now = &ret->tokens[ret->count++];
        if (at[0] == '*' && at[1] == '*') {
            while (*at == '*')
                at++;
            now->kind = TOKEN_DEEP;
            if (*at == '/') {
                now->kind = TOKEN_DEEP_FOLDER;
                at++;
            }
        } else if (*at == '*') {
            now->kind = TOKEN_STAR;
            at++;
        } else if (*at == '?') {
            now->kind = TOKEN_ANY;
            at++;
        } else if (*at == '[') {
            now->kind = TOKEN_CLASS;
            now->set = calloc(8, sizeof *now->set);
            if (!now->set)
                return -ENOMEM;
            at = parse_class(at + 1, now->set);
            if (!at)
                return -EINVAL;
        } else {
            if (*at == '\\' && !*++at)
                return -EINVAL;
            now->kind = TOKEN_BYTE;
            now->byte = (uint8_t)*at++;
        }
    }
    return ret->count / WORD + 1 > MAX_WORDS ? -EINVAL : 0;
}

void pb_ignore_free(pb_ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->count; i++) {
        for (size_t k = 0; k < ignore->rules[i].count; k++)
            free(ignore->rules[i].tokens[k].set);
        free(ignore->rules[i].tokens);
    }
    free(ignore->rules);
    free(ignore);
}

int pb_ignore_new(const char *patterns, size_t size, pb_ignore **ret, pb_error *error)
{
    pb_ignore *ignore = calloc(1, sizeof *ignore);
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += patterns[i] == '\0';
    if (!ignore || !(ignore->rules = calloc(count + 1, sizeof *ignore->rules))) {
        free(ignore);
        return pb_fail(error, ENOMEM, "compile pattern", "%s", "");
    }
    for (const char *at = patterns; at < patterns + size; at += strlen(at) + 1) {
        int failed = compile(at, &ignore->rules[ignore->count++]);
        if (failed) {
            pb_fail_detail(error, -failed, "pattern", at, "%s",
                           failed == -EINVAL ? "syntax error in pattern" : "out of memory");
            pb_ignore_free(ignore);
            return failed;
        }
        ignore->has_exceptions |= ignore->rules[ignore->count - 1].exception;
    }
    *ret = ignore;
    return 0;
}
