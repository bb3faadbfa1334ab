#include "rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COMPONENTS = 64 }; /* as many as a set has bits */

/* --- taking a rule apart -------------------------------------------------------------------------------------- */

/* How many components a pattern has; 0 if it cannot be taken apart. */
static size_t count_components(const pb_pattern *pattern)
{
    size_t components = 1;
    for (size_t i = 0; i < pattern->count; i++) {
        const pb_token *now = &pattern->tokens[i], *before = i ? now - 1 : NULL;
        int starts = !before || before->kind == PB_TOKEN_DEEP_FOLDER ||
                     (before->kind == PB_TOKEN_RUNE && before->rune == '/');
        if (now->kind == PB_TOKEN_DEEP_FOLDER && !starts)
            return 0;
        if (now->kind == PB_TOKEN_CLASS && pb_token_holds(pattern, now, '/'))
            return 0;
        components += now->kind == PB_TOKEN_DEEP_FOLDER || (now->kind == PB_TOKEN_RUNE && now->rune == '/');
    }
    return components <= MOST_COMPONENTS ? components : 0;
}

/* One component from a piece of the pattern that has no slash. */
static pb_component make_component(const pb_pattern *piece, char **bytes)
{
    pb_component made = {.kind = PB_COMPONENT_GLOB, .glob = *piece, .bytes = *bytes};
    size_t first = piece->count && piece->tokens[0].kind == PB_TOKEN_STAR, last = piece->count;
    int star_at_end = piece->count > first && piece->tokens[last - 1].kind == PB_TOKEN_STAR;

    last -= (size_t)star_at_end;
    for (size_t i = first; i < last; i++)
        if (piece->tokens[i].kind != PB_TOKEN_RUNE)
            return made;
    if (first && star_at_end && last > first)
        return made;
    for (size_t i = first; i < last; i++)
        *bytes += pb_rune_encode(piece->tokens[i].rune, *bytes);
    made.length = (uint32_t)(*bytes - made.bytes);
    made.kind = first ? PB_COMPONENT_SUFFIX : star_at_end ? PB_COMPONENT_PREFIX : PB_COMPONENT_LITERAL;
    if ((first || star_at_end) && !made.length)
        made.kind = PB_COMPONENT_EVERYTHING;
    return made;
}

static int separate(pb_rule *ret, size_t most)
{
    pb_pattern piece = ret->pattern;
    char *bytes = ret->bytes = malloc(ret->pattern.count * 4 + 1);
    size_t end = ret->pattern.count;

    ret->components = calloc(most, sizeof *ret->components);
    if (!ret->components || !bytes)
        return -ENOMEM;
    for (size_t at = 0, start = 0; at <= end; at++) {
        pb_token *now = &ret->pattern.tokens[at];
        if (at < end && (now->kind == PB_TOKEN_DEEP_FOLDER || (now->kind == PB_TOKEN_DEEP && at == start))) {
            ret->components[ret->count++].kind = PB_COMPONENT_DEEP;
            start = at + 1;
            if (now->kind == PB_TOKEN_DEEP) /* always the last */
                break;
            continue;
        }
        if (at < end && now->kind == PB_TOKEN_DEEP) /* `a**`: what is below a match is covered anyhow */
            now->kind = PB_TOKEN_STAR;
        if (at < end && !(now->kind == PB_TOKEN_RUNE && now->rune == '/'))
            continue;
        piece.tokens = ret->pattern.tokens + start;
        piece.count = at - start;
        ret->components[ret->count++] = make_component(&piece, &bytes);
        start = at + 1;
    }
    ret->ends = UINT64_C(1) << (ret->count - 1);
    return 0;
}

int pb_rule_compile(const char *text, pb_rule *ret)
{
    size_t components;
    int failed;

    ret->exception = *text == '!';
    text += ret->exception;
    failed = pb_pattern_compile(text, strlen(text), 0, &ret->pattern);
    if (failed || !ret->pattern.count)
        return failed;
    components = count_components(&ret->pattern);
    return components ? separate(ret, components) : 0;
}

/* --- matching one rule ------------------------------------------------------------------------------------------- */

static int component_matches(const pb_component *part, const char *name, size_t length)
{
    switch (part->kind) {
    case PB_COMPONENT_DEEP:
    case PB_COMPONENT_EVERYTHING:
        return 1;
    case PB_COMPONENT_LITERAL:
        return length == part->length && !memcmp(name, part->bytes, length);
    case PB_COMPONENT_PREFIX:
        return length >= part->length && !memcmp(name, part->bytes, part->length);
    case PB_COMPONENT_SUFFIX:
        return length >= part->length && !memcmp(name + length - part->length, part->bytes, part->length);
    default:
        return pb_pattern_match(&part->glob, name, length, NULL);
    }
}

/* The set with a component in it, and with those behind a `**` that stands for no folder at all. */
static uint64_t with(const pb_rule *of, uint64_t set, size_t at)
{
    for (;; at++) {
        set |= UINT64_C(1) << at;
        if (of->components[at].kind != PB_COMPONENT_DEEP || at + 1 == of->count)
            return set;
    }
}

int pb_rule_ends(const pb_rule *of, uint64_t set, const char *name, size_t length)
{
    return set & of->ends && component_matches(&of->components[of->count - 1], name, length);
}

static unsigned anchor_at(unsigned end, char byte)
{
    return end + (unsigned char)byte;
}

unsigned pb_rule_anchor(const pb_rule *of)
{
    const pb_component *last = of->components ? &of->components[of->count - 1] : NULL;
    const pb_token *tokens;
    char bytes[4];

    if (!last)
        return PB_ANCHOR_NONE;
    if ((last->kind == PB_COMPONENT_LITERAL || last->kind == PB_COMPONENT_PREFIX) && last->length)
        return anchor_at(PB_ANCHOR_FIRST, last->bytes[0]);
    if (last->kind == PB_COMPONENT_SUFFIX)
        return anchor_at(PB_ANCHOR_LAST, last->bytes[last->length - 1]);
    if (last->kind != PB_COMPONENT_GLOB || !last->glob.count)
        return PB_ANCHOR_NONE;
    tokens = last->glob.tokens;
    if (tokens[0].kind == PB_TOKEN_RUNE && pb_rune_encode(tokens[0].rune, bytes))
        return anchor_at(PB_ANCHOR_FIRST, bytes[0]);
    tokens += last->glob.count - 1;
    if (tokens->kind == PB_TOKEN_RUNE)
        return anchor_at(PB_ANCHOR_LAST, bytes[pb_rune_encode(tokens->rune, bytes) - 1]);
    return PB_ANCHOR_NONE;
}

uint64_t pb_rule_behind(const pb_rule *of, uint64_t set, const char *name, size_t length)
{
    uint64_t next = 0;
    for (uint64_t left = set & ~of->ends; left; left &= left - 1) {
        size_t at = (size_t)__builtin_ctzll(left);
        if (of->components[at].kind == PB_COMPONENT_DEEP)
            next = with(of, next, at);
        else if (component_matches(&of->components[at], name, length))
            next = with(of, next, at + 1);
    }
    return next;
}

uint64_t pb_rule_start(const pb_rule *of)
{
    return with(of, 0, 0);
}

static size_t name_length(const char *path)
{
    return (size_t)(strchrnul(path, '/') - path);
}

int pb_rule_matches(const pb_rule *of, const char *path, int *deeper)
{
    uint64_t set;

    *deeper = 0;
    if (!of->pattern.count)
        return 0;
    if (!of->components) {
        for (const char *end = strchrnul(path, '/');; end = strchrnul(end + 1, '/')) {
            if (end > path && pb_pattern_match(&of->pattern, path, (size_t)(end - path), deeper))
                return 1;
            if (!*end)
                return 0;
        }
    }
    set = pb_rule_start(of);
    for (const char *name = path; set;) {
        size_t length = name_length(name);
        if (length && pb_rule_ends(of, set, name, length))
            return 1;
        set = pb_rule_behind(of, set, name, length);
        if (!name[length])
            break;
        name += length + 1;
    }
    *deeper = set != 0;
    return 0;
}

void pb_rule_cleanup(pb_rule *of)
{
    pb_pattern_cleanup(&of->pattern);
    free(of->components);
    free(of->bytes);
}
