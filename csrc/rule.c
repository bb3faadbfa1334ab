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
        if ((now->kind == PB_TOKEN_DEEP_FOLDER || now->kind == PB_TOKEN_DEEP) && !starts)
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

/* --- what names must have ------------------------------------------------------------------------------------- */

static uint64_t mark_of_byte(char byte)
{
    return UINT64_C(1) << ((uint8_t)byte & 31);
}

static uint64_t mark_of_pair(char first, char second)
{
    uint32_t pair = (uint32_t)(uint8_t)first << 8 | (uint8_t)second;
    return UINT64_C(1) << (32 + (pair * UINT32_C(0x9e3779b1) >> 27));
}

uint64_t pb_name_mark(const char *name, size_t length)
{
    uint64_t mark = 0;
    for (size_t i = 0; i < length; i++)
        mark |= mark_of_byte(name[i]) | (i ? mark_of_pair(name[i - 1], name[i]) : 0);
    return mark;
}

static pb_anchor make_anchor(uint8_t kind, const char *bytes, size_t length)
{
    pb_anchor made = {.kind = kind, .length = (uint8_t)(length < PB_ANCHOR_LONGEST ? length : PB_ANCHOR_LONGEST)};
    for (size_t i = 0; i < made.length; i++)
        made.hash = pb_anchor_step(made.hash, kind == PB_ANCHOR_LAST ? bytes[length - 1 - i] : bytes[i]);
    if (!made.length)
        made.kind = PB_ANCHOR_NONE;
    return made;
}

/* The plain bytes of a glob. */
static int find_runs(pb_rule *ret, const pb_pattern *glob)
{
    char *at = ret->runs = malloc(glob->count * 4 + 1);

    if (!at)
        return -ENOMEM;
    for (size_t i = 0; i < glob->count; i++) {
        if (glob->tokens[i].kind == PB_TOKEN_RUNE)
            at += pb_rune_encode(glob->tokens[i].rune, at);
        else
            *at++ = '\0';
    }
    ret->runs_length = (size_t)(at - ret->runs);
    for (size_t i = 0; i < ret->runs_length; i++) {
        const char *now = ret->runs + i;
        if (!*now)
            continue;
        ret->needs |= mark_of_byte(*now);
        if (i && now[-1])
            ret->needs |= mark_of_pair(now[-1], *now);
    }
    return 0;
}

static int find_anchor(pb_rule *ret)
{
    const pb_component *last = &ret->components[ret->count - 1];

    if (last->kind == PB_COMPONENT_LITERAL || last->kind == PB_COMPONENT_PREFIX)
        ret->anchor = make_anchor(PB_ANCHOR_FIRST, last->bytes, last->length);
    if (last->kind == PB_COMPONENT_SUFFIX)
        ret->anchor = make_anchor(PB_ANCHOR_LAST, last->bytes, last->length);
    return last->kind == PB_COMPONENT_GLOB ? find_runs(ret, &last->glob) : 0;
}

/* One anchor that a rule offers: counted, or taken if fewer rules offer it than what it has. */
static void offer(pb_rule *of, pb_anchor offered, uint32_t *counts, uint32_t *least)
{
    uint32_t *count = &counts[(offered.hash ^ offered.kind) * UINT32_C(0x9e3779b1) % PB_ANCHOR_COUNTS];

    if (!least) {
        ++*count;
    } else if (*count < *least) {
        *least = *count;
        of->anchor = offered;
    }
}

void pb_rule_anchor(pb_rule *of, uint32_t counts[PB_ANCHOR_COUNTS], int choose)
{
    uint32_t least = UINT32_MAX;
    size_t length = of->runs_length;
    size_t first = length ? strnlen(of->runs, length) : 0, last = 0;

    while (last < length && of->runs[length - 1 - last])
        last++;
    if (first)
        offer(of, make_anchor(PB_ANCHOR_FIRST, of->runs, first), counts, choose ? &least : NULL);
    if (last)
        offer(of, make_anchor(PB_ANCHOR_LAST, of->runs + length - last, last), counts, choose ? &least : NULL);
    for (size_t i = 1; i < length; i++)
        if (of->runs[i - 1] && of->runs[i])
            offer(of, make_anchor(PB_ANCHOR_PAIR, of->runs + i - 1, 2), counts, choose ? &least : NULL);
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
        if (at < end && !(now->kind == PB_TOKEN_RUNE && now->rune == '/'))
            continue;
        piece.tokens = ret->pattern.tokens + start;
        piece.count = at - start;
        ret->components[ret->count++] = make_component(&piece, &bytes);
        start = at + 1;
    }
    ret->ends = UINT64_C(1) << (ret->count - 1);
    return find_anchor(ret);
}

int pb_rule_compile(const char *text, pb_rule *ret)
{
    size_t components;
    int failed;

    ret->anchor.kind = PB_ANCHOR_NONE;
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

uint64_t pb_rule_behind(const pb_rule *of, uint64_t set, const char *name, size_t length)
{
    int endless = of->components[of->count - 1].kind == PB_COMPONENT_DEEP;
    uint64_t next = endless ? set & of->ends : 0; /* what is below matches, too */
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

int pb_rule_matches(const pb_rule *of, const char *path, size_t size, int *deeper)
{
    uint64_t set;

    *deeper = 0;
    if (!of->pattern.count)
        return 0;
    if (!of->components)
        return size && pb_pattern_match(&of->pattern, path, size, deeper);
    set = pb_rule_start(of);
    for (const char *name = path; set; name++) {
        size_t length = name_length(name);
        if ((size_t)(name - path) + length >= size) {
            length = size - (size_t)(name - path);
            *deeper = pb_rule_behind(of, set, name, length) != 0;
            return length && pb_rule_ends(of, set, name, length);
        }
        set = pb_rule_behind(of, set, name, length);
        name += length;
    }
    return 0;
}

void pb_rule_cleanup(pb_rule *of)
{
    pb_pattern_cleanup(&of->pattern);
    free(of->components);
    free(of->bytes);
    free(of->runs);
}
