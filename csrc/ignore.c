/* Ignore rules as moby/patternmatcher has them: the last rule that matches a path, or a folder above it, decides.
 *
 * A rule is taken apart at its slashes. How far a path has come in it is then a set of components, which its folder's
 * contents share, and most components are compared as bytes. The few rules that cannot be taken apart (`a**b`, `[^a]`, which
 * holds a slash too) are matched against whole paths.
 */
#include "ignore.h"
#include "error.h"
#include "pattern.h"

#include <errno.h>
#include <string.h>

enum component_kind { DEEP, LITERAL, PREFIX, SUFFIX, EVERYTHING, GLOB };

typedef struct {
    uint8_t kind;
    uint32_t length;
    const char *bytes; /* of LITERAL, PREFIX, SUFFIX */
    pb_pattern glob;   /* a piece of the rule's pattern */
} component;

enum { MOST_COMPONENTS = 64 };

typedef struct {
    pb_pattern pattern;
    component *components; /* NULL if it cannot be taken apart */
    size_t count;
    uint64_t ends; /* the components that may be the last of a path */
    char *bytes;
    int exception; /* with a `!` in front */
} rule;

struct pb_ignore {
    rule *rules;
    size_t count;
    int whole_paths; /* there are rules for which the path must be known */
};

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
static component make_component(const pb_pattern *piece, char **bytes)
{
    component made = {.kind = GLOB, .glob = *piece, .bytes = *bytes};
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
    made.kind = first ? SUFFIX : star_at_end ? PREFIX : LITERAL;
    if ((first || star_at_end) && !made.length)
        made.kind = EVERYTHING;
    return made;
}

static int separate(rule *ret, size_t most)
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
            ret->components[ret->count++].kind = DEEP;
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

static int compile(const char *text, rule *ret)
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

static int component_matches(const component *part, const char *name, size_t length)
{
    switch (part->kind) {
    case DEEP:
    case EVERYTHING:
        return 1;
    case LITERAL:
        return length == part->length && !memcmp(name, part->bytes, length);
    case PREFIX:
        return length >= part->length && !memcmp(name, part->bytes, part->length);
    case SUFFIX:
        return length >= part->length && !memcmp(name + length - part->length, part->bytes, part->length);
    default:
        return pb_pattern_match(&part->glob, name, length, NULL);
    }
}

/* The set with a component in it, and with those behind a `**` that stands for no folder at all. */
static uint64_t with(const rule *of, uint64_t set, size_t at)
{
    for (;; at++) {
        set |= UINT64_C(1) << at;
        if (of->components[at].kind != DEEP || at + 1 == of->count)
            return set;
    }
}

static int ends_with(const rule *of, uint64_t set, const char *name, size_t length)
{
    return set & of->ends && component_matches(&of->components[of->count - 1], name, length);
}

/* Where a rule stands behind one more folder on the way; 0 where it can match no more. */
static uint64_t behind(const rule *of, uint64_t set, const char *name, size_t length)
{
    uint64_t next = 0;
    for (uint64_t left = set & ~of->ends; left; left &= left - 1) {
        size_t at = (size_t)__builtin_ctzll(left);
        if (of->components[at].kind == DEEP)
            next = with(of, next, at);
        else if (component_matches(&of->components[at], name, length))
            next = with(of, next, at + 1);
    }
    return next;
}

static size_t name_length(const char *path)
{
    return (size_t)(strchrnul(path, '/') - path);
}

/* Whether a rule matches a path or a folder above it; if not, *deeper says whether it could match something below. */
static int rule_matches(const rule *of, const char *path, int *deeper)
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
    set = with(of, 0, 0);
    for (const char *name = path; set;) {
        size_t length = name_length(name);
        if (length && ends_with(of, set, name, length))
            return 1;
        set = behind(of, set, name, length);
        if (!name[length])
            break;
        name += length + 1;
    }
    *deeper = set != 0;
    return 0;
}

int pb_ignore_match(const pb_ignore *ignore, const char *path, int *deciding)
{
    int deeper;

    if (deciding)
        *deciding = -1;
    for (size_t i = ignore->count; i-- > 0;) {
        if (rule_matches(&ignore->rules[i], path, &deeper)) {
            if (deciding)
                *deciding = (int)i;
            return !ignore->rules[i].exception;
        }
    }
    return 0;
}

int pb_ignore_may_keep_below(const pb_ignore *ignore, const char *path, int deciding)
{
    for (size_t i = (size_t)(deciding + 1); i < ignore->count; i++) {
        int deeper;
        if (ignore->rules[i].exception && !rule_matches(&ignore->rules[i], path, &deeper) && deeper)
            return 1;
    }
    return 0;
}

/* --- scopes -------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t rule;
    uint64_t set; /* how far the folder has come in the rule */
} live_rule;

struct pb_scope {
    const pb_ignore *ignore;
    int decided; /* on the folder: the last rule that matched it or one above it, or -1 */
    char *path;  /* with a slash at its end, if whole_paths */
    size_t path_length;
    size_t count;
    live_rule live[]; /* behind `decided`, the last rule first */
};

static pb_scope *new_scope(const pb_ignore *ignore, size_t room, const char *above, const char *name)
{
    pb_scope *scope = calloc(1, sizeof *scope + room * sizeof scope->live[0]);

    if (!scope)
        return NULL;
    scope->ignore = ignore;
    scope->decided = -1;
    if (!ignore->whole_paths)
        return scope;
    scope->path_length = strlen(above) + strlen(name) + !!*name;
    scope->path = malloc(scope->path_length + 1);
    if (!scope->path) {
        free(scope);
        return NULL;
    }
    stpcpy(stpcpy(stpcpy(scope->path, above), name), *name ? "/" : "");
    return scope;
}

void pb_scope_free(pb_scope *scope)
{
    if (scope)
        free(scope->path);
    free(scope);
}

/* A rule of a scope on a name in it: whether it matches, and where it stands inside the name, if that is a folder. */
static int try_rule(const pb_scope *scope, const live_rule *live, const char *name, size_t length, uint64_t *next)
{
    const rule *of = &scope->ignore->rules[live->rule];
    char small[512];
    char *path = small;
    int deeper, matched;

    if (of->components) {
        if (ends_with(of, live->set, name, length))
            return 1;
        if (next)
            *next = behind(of, live->set, name, length);
        return 0;
    }
    if (scope->path_length + length >= sizeof small && !(path = malloc(scope->path_length + length + 1)))
        return -ENOMEM;
    memcpy(path, scope->path, scope->path_length);
    memcpy(path + scope->path_length, name, length);
    matched = pb_pattern_match(&of->pattern, path, scope->path_length + length, &deeper);
    if (next)
        *next = deeper;
    if (path != small)
        free(path);
    return matched;
}

pb_scope *pb_scope_root(const pb_ignore *ignore)
{
    pb_scope *scope = new_scope(ignore, ignore->count, "", "");

    for (size_t i = ignore->count; scope && i-- > 0;)
        if (ignore->rules[i].pattern.count)
            scope->live[scope->count++] =
                (live_rule){(uint32_t)i, ignore->rules[i].components ? with(&ignore->rules[i], 0, 0) : 1};
    return scope;
}

pb_scope *pb_scope_enter(const pb_scope *above, const char *name)
{
    pb_scope *scope = new_scope(above->ignore, above->count, above->path ? above->path : "", name);
    size_t length = strlen(name);

    if (!scope)
        return NULL;
    scope->decided = above->decided;
    for (size_t i = 0; i < above->count; i++) {
        uint64_t set = 0;
        int matched = try_rule(above, &above->live[i], name, length, &set);
        if (matched < 0) {
            pb_scope_free(scope);
            return NULL;
        }
        if (matched) {
            scope->decided = (int)above->live[i].rule;
            break; /* the rules before it have no say any more */
        }
        if (set)
            scope->live[scope->count++] = (live_rule){above->live[i].rule, set};
    }
    return scope;
}

int pb_scope_match(const pb_scope *scope, const char *name, int *deciding)
{
    size_t length = strlen(name);

    *deciding = scope->decided;
    for (size_t i = 0; i < scope->count; i++) {
        int matched = try_rule(scope, &scope->live[i], name, length, NULL);
        if (matched < 0)
            return matched;
        if (matched) {
            *deciding = (int)scope->live[i].rule;
            break;
        }
    }
    return *deciding >= 0 && !scope->ignore->rules[*deciding].exception;
}

int pb_scope_may_keep_below(const pb_scope *scope, const char *name, int deciding)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < scope->count && (int)scope->live[i].rule > deciding; i++) {
        uint64_t set = 0;
        if (!scope->ignore->rules[scope->live[i].rule].exception)
            continue;
        if (try_rule(scope, &scope->live[i], name, length, &set) == 0 && set)
            return 1;
    }
    return 0;
}

/* --- handles ------------------------------------------------------------------------------------------------------ */

void pb_ignore_free(pb_ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->count; i++) {
        pb_pattern_cleanup(&ignore->rules[i].pattern);
        free(ignore->rules[i].components);
        free(ignore->rules[i].bytes);
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
        rule *now = &ignore->rules[ignore->count++];
        int failed = compile(at, now);
        if (failed) {
            pb_fail_detail(error, -failed, "compile pattern", at, "%s",
                           failed == -EINVAL  ? "syntax error in pattern"
                           : failed == -E2BIG ? "the pattern is too long"
                                              : "out of memory");
            pb_ignore_free(ignore);
            return failed;
        }
        ignore->whole_paths |= now->pattern.count && !now->components;
    }
    *ret = ignore;
    return 0;
}
