/* One ignore rule, taken apart at its slashes.
 *
 * How far a path has come in a rule is a set of components, which the contents of its folder share, and most components are
 * compared as bytes. The few rules that cannot be taken apart (`a**`, `a**b`, `[^a]`, which holds a slash too) have no components
 * and are matched against whole paths.
 */
#ifndef PB_RULE_H
#define PB_RULE_H

#include "pattern.h"

enum pb_component_kind {
    PB_COMPONENT_DEEP, /* ** */
    PB_COMPONENT_LITERAL,
    PB_COMPONENT_PREFIX,
    PB_COMPONENT_SUFFIX,
    PB_COMPONENT_EVERYTHING,
    PB_COMPONENT_GLOB
};

typedef struct {
    uint8_t kind;
    uint32_t length;
    const char *bytes; /* of a literal, prefix or suffix */
    pb_pattern glob;   /* a piece of the rule's pattern */
} pb_component;

/* Bytes that every name has that the last component of a rule matches, as a hash: `length` of them at its beginning or at
 * its end (the hash begins at the end), or two that stand side by side anywhere. */
enum pb_anchor_kind { PB_ANCHOR_FIRST, PB_ANCHOR_LAST, PB_ANCHOR_PAIR, PB_ANCHOR_NONE };
enum { PB_ANCHOR_LONGEST = 255, PB_ANCHOR_COUNTS = 1 << 12 };

typedef struct {
    uint8_t kind;
    uint8_t length;
    uint32_t hash;
} pb_anchor;

static inline uint32_t pb_anchor_step(uint32_t hash, char byte)
{
    return (hash ^ (uint8_t)byte) * UINT32_C(0x01000193);
}

static inline uint32_t pb_anchor_pair(char first, char second)
{
    return pb_anchor_step(pb_anchor_step(0, first), second);
}

typedef struct {
    pb_pattern pattern;
    pb_component *components; /* NULL if it cannot be taken apart */
    size_t count;
    uint64_t ends; /* the components that may be the last of a path */
    char *bytes;
    pb_anchor anchor;
    uint64_t needs; /* bits that the mark of every name has that the last component matches */
    char *runs;     /* of a glob: its plain bytes, a NUL for what stands between */
    size_t runs_length;
    int exception; /* with a `!` in front */
} pb_rule;

/* -EINVAL, -E2BIG or -ENOMEM. To be cleaned up in any case. */
int pb_rule_compile(const char *text, pb_rule *ret);
void pb_rule_cleanup(pb_rule *of);
/* Whether a rule matches the first `size` bytes of a path; *deeper says whether it could match something below. */
int pb_rule_matches(const pb_rule *of, const char *path, size_t size, int *deeper);

/* The same step by step, for rules with components. Where a rule stands before the first name of a path; */
uint64_t pb_rule_start(const pb_rule *of);
/* whether it matches with this name as the last; */
int pb_rule_ends(const pb_rule *of, uint64_t set, const char *name, size_t length);
/* the anchor, once all rules are compiled: of what a rule offers the one that the fewest rules have. To be called for all
 * rules to count what they offer, and then for all rules to choose; */
void pb_rule_anchor(pb_rule *of, uint32_t counts[PB_ANCHOR_COUNTS], int choose);
/* bits for the bytes of a name, and for its pairs of bytes: for `needs`; */
uint64_t pb_name_mark(const char *name, size_t length);
/* where it stands behind the name, 0 where it can match no more. */
uint64_t pb_rule_behind(const pb_rule *of, uint64_t set, const char *name, size_t length);

#endif
