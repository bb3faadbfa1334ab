/* Ignore rules as BuildKit applies them: the last rule that matches a path decides, or that matched a folder above it and
 * changed something there. So `!logs` brings nothing back in a folder that was not left out, whatever rules before it say of
 * what is in there. */
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
    pb_program *program; /* all rules at once; NULL if they are too many for that */
};

const char *pb_ignore_below(const pb_ignore *ignore)
{
    return ignore->below;
}

/* Of a folder, whether what decided on it leaves it out. */
static int left_out(const pb_ignore *ignore, int decided)
{
    return decided >= 0 && !ignore->rules[decided].exception;
}

/* What of the rules passes from a folder, the first `size` bytes of a path, to what is in it: `decided` is what the folder
 * above it passed on. A rule counts for what is below only where it changed what was so far. */
static int settle(const pb_ignore *ignore, const char *path, size_t size, int decided)
{
    for (size_t i = (size_t)(decided + 1); i < ignore->count; i++) {
        int deeper;
        if (ignore->rules[i].exception == left_out(ignore, decided) &&
            pb_rule_matches(&ignore->rules[i], path, size, &deeper))
            decided = (int)i;
    }
    return decided;
}

/* The same for all folders above a path. */
static int settle_above(const pb_ignore *ignore, const char *path)
{
    int decided = -1;

    for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/'))
        decided = settle(ignore, path, (size_t)(end - path), decided);
    return decided;
}

int pb_ignore_match(const pb_ignore *ignore, const char *path, int *deciding)
{
    int decided = settle_above(ignore, path);
    size_t size = strlen(path);

    for (size_t i = ignore->count; i-- > (size_t)(decided + 1);) {
        int deeper;
        if (pb_rule_matches(&ignore->rules[i], path, size, &deeper)) {
            decided = (int)i;
            break;
        }
    }
    if (deciding)
        *deciding = decided;
    return left_out(ignore, decided);
}

int pb_ignore_may_keep_below(const pb_ignore *ignore, const char *path)
{
    size_t size = strlen(path);
    int decided = settle(ignore, path, size, settle_above(ignore, path));

    for (size_t i = (size_t)(decided + 1); i < ignore->count; i++) {
        int deeper;
        if (ignore->rules[i].exception && !pb_rule_matches(&ignore->rules[i], path, size, &deeper) && deeper)
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
    int decided; /* the last rule that counts for all in the folder, see settle(); or -1 */
    /* All rules at once, where they are not too many: how far the folder's path has come in them. */
    pb_states *states;
    pb_point at;
    uint64_t *set; /* of a point that is no state */
    /* Else rule by rule. */
    char *path;  /* with a slash at its end, if whole_paths */
    size_t path_length;
    /* The rules that names in the folder may match, by bytes that such names have: chains in a hash table,
     * in which the last rule comes first. So most rules of a long file are never looked at. */
    uint64_t lengths[PB_ANCHOR_NONE][PB_ANCHOR_LONGEST / 64 + 1]; /* how many bytes those are */
    size_t longest[PB_ANCHOR_NONE]; /* 0 if no rule asks for such bytes */
    uint32_t *chains;
    unsigned shift; /* of a hash, to an index */
    size_t loose_count; /* rules that ask for none */
    uint32_t *loose;
    int marks; /* the marks of names are asked for */
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
    if (!ignore->whole_paths || ignore->program)
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
    if (scope) {
        free(scope->path);
        free(scope->chains);
        free(scope->set);
    }
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
        if (next)
            *next = pb_rule_behind(of, live->set, name, length);
        return pb_rule_ends(of, live->set, name, length);
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

static uint32_t *chain_of(const pb_scope *scope, uint8_t kind, uint32_t hash)
{
    return &scope->chains[(uint32_t)((hash ^ kind) * UINT32_C(0x9e3779b1)) >> scope->shift];
}

/* Chain the rules that may match a name in the folder. */
static pb_scope *chain_rules(pb_scope *scope)
{
    unsigned bits = 1;

    if (!scope || !scope->count)
        return scope;
    while (bits < 24 && (size_t)1 << bits < scope->count * 2)
        bits++;
    scope->shift = 32 - bits;
    scope->chains = calloc(((size_t)1 << bits) + scope->count, sizeof *scope->chains);
    if (!scope->chains) {
        pb_scope_free(scope);
        return NULL;
    }
    scope->loose = scope->chains + ((size_t)1 << bits);
    for (size_t i = 0; i < scope->count; i++) {
        const pb_rule *of = &scope->ignore->rules[scope->live[i].rule];
        if (of->anchor.kind == PB_ANCHOR_NONE && !(of->components && !(scope->live[i].set & of->ends)))
            scope->loose[scope->loose_count++] = (uint32_t)i;
    }
    for (size_t i = scope->count; i-- > 0;) {
        const pb_rule *of = &scope->ignore->rules[scope->live[i].rule];
        const pb_anchor *anchor = &of->anchor;
        uint32_t *chain;
        if (!(scope->live[i].set & of->ends))
            continue;
        scope->marks |= of->needs != 0;
        if (anchor->kind == PB_ANCHOR_NONE)
            continue;
        chain = chain_of(scope, anchor->kind, anchor->hash);
        scope->live[i].next = *chain;
        *chain = (uint32_t)i + 1;
        scope->lengths[anchor->kind][anchor->length / 64] |= UINT64_C(1) << anchor->length % 64;
        if (scope->longest[anchor->kind] < anchor->length)
            scope->longest[anchor->kind] = anchor->length;
    }
    return scope;
}

/* --- all rules at once --------------------------------------------------------------------------------------------- */

int pb_ignore_states(const pb_ignore *ignore, pb_states **ret)
{
    *ret = ignore->program ? pb_states_new(ignore->program) : NULL;
    return *ret || !ignore->program ? 0 : -ENOMEM;
}

/* A scope at a point; its set is copied unless it is a state's. */
static pb_scope *scope_at(const pb_ignore *ignore, pb_states *states, pb_point at, int decided)
{
    size_t size = pb_program_words(ignore->program) * sizeof *at.set;
    pb_scope *scope = new_scope(ignore, 0, "", "");

    if (!scope)
        return NULL;
    scope->states = states;
    scope->decided = decided;
    scope->at = at;
    if (at.state != PB_NO_STATE)
        return scope;
    scope->set = malloc(size);
    if (!scope->set) {
        pb_scope_free(scope);
        return NULL;
    }
    memcpy(scope->set, at.set, size);
    scope->at.set = scope->set;
    return scope;
}

/* As settle(), for a folder in the scope that has come to a point. */
static int settle_at(const pb_scope *scope, pb_point at)
{
    int decided = scope->decided;

    for (int i = decided; (i = pb_states_first(scope->states, at, (size_t)(i + 1))) >= 0;)
        if (scope->ignore->rules[i].exception == left_out(scope->ignore, decided))
            decided = i;
    return decided;
}

static int may_keep_below_at(const pb_scope *scope, const char *name)
{
    pb_point at = pb_states_run(scope->states, scope->at, name, strlen(name));
    int decided = settle_at(scope, at);
    size_t rule = (size_t)(decided + 1);

    /* No exception behind the deciding rule matches the folder itself, for it is left out. */
    at = pb_states_run(scope->states, at, "/", 1);
    for (int i; (i = pb_states_alive(scope->states, at, rule)) >= 0; rule = (size_t)i + 1)
        if (scope->ignore->rules[i].exception)
            return 1;
    return 0;
}

pb_scope *pb_scope_root(const pb_ignore *ignore, pb_states *states)
{
    pb_scope *scope;

    if (states)
        return scope_at(ignore, states, pb_states_start(states), -1);
    scope = new_scope(ignore, ignore->count, "", "");

    for (size_t i = ignore->count; scope && i-- > 0;)
        if (ignore->rules[i].pattern.count)
            scope->live[scope->count++] =
                (live_rule){(uint32_t)i, 0, ignore->rules[i].components ? pb_rule_start(&ignore->rules[i]) : 1};
    return chain_rules(scope);
}

pb_scope *pb_scope_enter(const pb_scope *above, const char *name)
{
    size_t length = strlen(name);
    pb_scope *scope;

    if (above->states) {
        pb_point at = pb_states_run(above->states, above->at, name, length);
        int decided = settle_at(above, at);
        return scope_at(above->ignore, above->states, pb_states_run(above->states, at, "/", 1), decided);
    }
    scope = new_scope(above->ignore, above->count, above->path ? above->path : "", name);
    if (!scope)
        return NULL;
    scope->decided = above->decided;
    for (size_t i = above->count; i-- > 0;) { /* the first rule first */
        uint64_t set = 0;
        const pb_rule *of = &above->ignore->rules[above->live[i].rule];
        int matched = try_rule(above, &above->live[i], name, length, &set);
        if (matched < 0) {
            pb_scope_free(scope);
            return NULL;
        }
        if (matched && of->exception == left_out(above->ignore, scope->decided)) {
            scope->decided = (int)above->live[i].rule;
            scope->count = 0; /* the rules before it have no say any more */
        } else if (set || (matched && !of->components)) {
            scope->live[scope->count++] = (live_rule){above->live[i].rule, 0, set};
        }
    }
    for (size_t i = 0, j = scope->count; i + 1 < j--; i++) {
        live_rule other = scope->live[i];
        scope->live[i] = scope->live[j];
        scope->live[j] = other;
    }
    return chain_rules(scope);
}

/* A name, and what its bytes tell about it. */
typedef struct {
    const char *bytes;
    size_t length;
    uint64_t lacks; /* the bits that its mark has not */
} examined;

/* One rule on a name: whether to go on, 0 if rules before it have no say any more. */
static int decide(const pb_scope *scope, const live_rule *live, const examined *name, int *deciding)
{
    int matched;

    if ((int)live->rule < *deciding)
        return 0;
    if (scope->ignore->rules[live->rule].needs & name->lacks)
        return 1;
    matched = try_rule(scope, live, name->bytes, name->length, NULL);
    if (matched > 0)
        *deciding = (int)live->rule;
    return matched ? matched < 0 ? matched : 0 : 1;
}

static int decide_chain(const pb_scope *scope, uint8_t kind, uint32_t hash, const examined *name, int *deciding)
{
    int more = 1;

    for (uint32_t at = *chain_of(scope, kind, hash); at && more > 0; at = scope->live[at - 1].next)
        more = decide(scope, &scope->live[at - 1], name, deciding);
    return more < 0 ? more : 0;
}

/* The rules that ask for bytes at one end of a name. */
static int decide_by_end(const pb_scope *scope, uint8_t kind, const examined *name, int *deciding)
{
    size_t most = name->length < scope->longest[kind] ? name->length : scope->longest[kind];
    uint32_t hash = 0;
    int failed = 0;

    for (size_t i = 1; i <= most && !failed; i++) {
        hash = pb_anchor_step(hash, name->bytes[kind == PB_ANCHOR_FIRST ? i - 1 : name->length - i]);
        if (scope->lengths[kind][i / 64] >> i % 64 & 1)
            failed = decide_chain(scope, kind, hash, name, deciding);
    }
    return failed;
}

/* The rules that ask for two bytes side by side. */
static int decide_by_pair(const pb_scope *scope, const examined *name, int *deciding)
{
    int failed = 0;

    for (size_t i = 1; scope->longest[PB_ANCHOR_PAIR] && i < name->length && !failed; i++)
        failed = decide_chain(scope, PB_ANCHOR_PAIR, pb_anchor_pair(name->bytes[i - 1], name->bytes[i]), name, deciding);
    return failed;
}

int pb_scope_match(const pb_scope *scope, const char *bytes, int *deciding)
{
    examined name = {bytes, strlen(bytes), 0};
    int failed, more = 1;

    *deciding = scope->decided;
    if (scope->states) {
        int last = pb_states_last(scope->states, pb_states_run(scope->states, scope->at, bytes, name.length));
        if (last > scope->decided)
            *deciding = last;
        return left_out(scope->ignore, *deciding);
    }
    if (scope->marks)
        name.lacks = ~pb_name_mark(name.bytes, name.length);
    failed = decide_by_end(scope, PB_ANCHOR_FIRST, &name, deciding);
    if (!failed)
        failed = decide_by_end(scope, PB_ANCHOR_LAST, &name, deciding);
    if (!failed)
        failed = decide_by_pair(scope, &name, deciding);
    for (size_t i = 0; !failed && more && i < scope->loose_count; i++) {
        more = decide(scope, &scope->live[scope->loose[i]], &name, deciding);
        failed = more < 0 ? more : 0;
    }
    if (failed)
        return failed;
    return *deciding >= 0 && !scope->ignore->rules[*deciding].exception;
}

int pb_scope_may_keep_below(const pb_scope *scope, const char *name)
{
    size_t length = strlen(name);
    int decided = scope->decided, deeper = 0;

    if (scope->states)
        return may_keep_below_at(scope, name);
    for (size_t i = scope->count; i-- > 0;) { /* the first rule first */
        uint64_t set = 0;
        int exception = scope->ignore->rules[scope->live[i].rule].exception;
        int matched = try_rule(scope, &scope->live[i], name, length, &set);
        if (matched > 0 && exception == left_out(scope->ignore, decided)) {
            decided = (int)scope->live[i].rule;
            deeper = 0;
        }
        deeper |= matched < 0 || (exception && !matched && set);
    }
    return deeper;
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
    pb_program_free(ignore->program);
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
    if (count > 1) {
        uint32_t *counts = calloc(PB_ANCHOR_COUNTS, sizeof *counts);
        if (!counts) {
            pb_ignore_free(ignore);
            return pb_fail(error, ENOMEM, "compile pattern", "%s", "");
        }
        for (int choose = 0; choose < 2; choose++)
            for (size_t i = 0; i < ignore->count; i++)
                pb_rule_anchor(&ignore->rules[i], counts, choose);
        free(counts);
    }
    if (pb_program_new(ignore->rules, ignore->count, &ignore->program)) {
        pb_ignore_free(ignore);
        return pb_fail(error, ENOMEM, "compile pattern", "%s", "");
    }
    *ret = ignore;
    return 0;
}
