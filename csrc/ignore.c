/* Ignore rules as moby/patternmatcher has them: the last rule that matches a path, or a folder above it, decides. */
#include "ignore.h"
#include "error.h"
#include "rule.h"

#include <errno.h>
#include <string.h>

struct pb_ignore {
    pb_rule *rules;
    size_t count;
    int whole_paths; /* there are rules for which the path must be known */
    char *below;     /* what stands in front of the paths of a selection */
};

const char *pb_ignore_below(const pb_ignore *ignore)
{
    return ignore->below;
}

int pb_ignore_match(const pb_ignore *ignore, const char *path, int *deciding)
{
    int deeper;

    if (deciding)
        *deciding = -1;
    for (size_t i = ignore->count; i-- > 0;) {
        if (pb_rule_matches(&ignore->rules[i], path, &deeper)) {
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
        if (ignore->rules[i].exception && !pb_rule_matches(&ignore->rules[i], path, &deeper) && deeper)
            return 1;
    }
    return 0;
}

/* --- scopes -------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t rule;
    uint32_t next; /* of the chain it is in, one more than its place in `live`; 0 at the end */
    uint64_t set;  /* how far the folder has come in the pb_rule */
} live_rule;

struct pb_scope {
    const pb_ignore *ignore;
    int decided; /* on the folder: the last rule that matched it or one above it, or -1 */
    char *path;  /* with a slash at its end, if whole_paths */
    size_t path_length;
    /* The rules that names in the folder may match, by a byte that such names must begin or end with: most rules of a long
     * file are never looked at. The last rule comes first. */
    uint32_t chains[PB_ANCHORS];
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
    const pb_rule *of = &scope->ignore->rules[live->rule];
    char small[512];
    char *path = small;
    int deeper, matched;

    if (of->components) {
        if (pb_rule_ends(of, live->set, name, length))
            return 1;
        if (next)
            *next = pb_rule_behind(of, live->set, name, length);
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

/* Chain the rules that may match a name in the folder. */
static pb_scope *chain_rules(pb_scope *scope)
{
    for (size_t i = scope ? scope->count : 0; i-- > 0;) {
        const pb_rule *of = &scope->ignore->rules[scope->live[i].rule];
        uint32_t *chain = &scope->chains[pb_rule_anchor(of)];
        if (of->components && !(scope->live[i].set & of->ends))
            continue;
        scope->live[i].next = *chain;
        *chain = (uint32_t)i + 1;
    }
    return scope;
}

pb_scope *pb_scope_root(const pb_ignore *ignore)
{
    pb_scope *scope = new_scope(ignore, ignore->count, "", "");

    for (size_t i = ignore->count; scope && i-- > 0;)
        if (ignore->rules[i].pattern.count)
            scope->live[scope->count++] =
                (live_rule){(uint32_t)i, 0, ignore->rules[i].components ? pb_rule_start(&ignore->rules[i]) : 1};
    return chain_rules(scope);
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
            scope->live[scope->count++] = (live_rule){above->live[i].rule, 0, set};
    }
    return chain_rules(scope);
}

int pb_scope_match(const pb_scope *scope, const char *name, int *deciding)
{
    size_t length = strlen(name);
    const unsigned chains[] = {
        PB_ANCHOR_FIRST + (unsigned char)name[0],
        PB_ANCHOR_LAST + (unsigned char)(length ? name[length - 1] : 0),
        PB_ANCHOR_NONE,
    };

    *deciding = scope->decided;
    for (size_t chain = 0; chain < sizeof chains / sizeof chains[0]; chain++) {
        for (uint32_t at = scope->chains[chains[chain]]; at; at = scope->live[at - 1].next) {
            const live_rule *live = &scope->live[at - 1];
            int matched;
            if ((int)live->rule < *deciding)
                break;
            matched = try_rule(scope, live, name, length, NULL);
            if (matched < 0)
                return matched;
            if (matched) {
                *deciding = (int)live->rule;
                break;
            }
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
    for (size_t i = 0; i < ignore->count; i++)
        pb_rule_cleanup(&ignore->rules[i]);
    free(ignore->rules);
    free(ignore->below);
    free(ignore);
}

int pb_ignore_new(const char *patterns, size_t size, const char *below, pb_ignore **ret, pb_error *error)
{
    pb_ignore *ignore = calloc(1, sizeof *ignore);
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += patterns[i] == '\0';
    if (!ignore || !(ignore->rules = calloc(count + 1, sizeof *ignore->rules)) || !(ignore->below = strdup(below))) {
        pb_ignore_free(ignore);
        return pb_fail(error, ENOMEM, "compile pattern", "%s", "");
    }
    for (const char *at = patterns; at < patterns + size; at += strlen(at) + 1) {
        pb_rule *now = &ignore->rules[ignore->count++];
        int failed = pb_rule_compile(at, now);
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
