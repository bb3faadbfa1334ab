/* One ignore rule, taken apart at its slashes.
 *
 * How far a path has come in a rule is a set of components, which the contents of its folder share, and most components are
 * compared as bytes. The few rules that cannot be taken apart (`a**b`, `[^a]`, which holds a slash too) have no components
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

typedef struct {
    pb_pattern pattern;
    pb_component *components; /* NULL if it cannot be taken apart */
    size_t count;
    uint64_t ends; /* the components that may be the last of a path */
    char *bytes;
    int exception; /* with a `!` in front */
} pb_rule;

/* -EINVAL, -E2BIG or -ENOMEM. To be cleaned up in any case. */
int pb_rule_compile(const char *text, pb_rule *ret);
void pb_rule_cleanup(pb_rule *of);
/* Whether a rule matches a path or a folder above it; if not, *deeper says whether it could match something below. */
int pb_rule_matches(const pb_rule *of, const char *path, int *deeper);

/* The same step by step, for rules with components. Where a rule stands before the first name of a path; */
uint64_t pb_rule_start(const pb_rule *of);
/* whether it matches with this name as the last; */
int pb_rule_ends(const pb_rule *of, uint64_t set, const char *name, size_t length);
/* a byte that every such name begins (PB_ANCHOR_FIRST + byte) or ends with (PB_ANCHOR_LAST + byte), or PB_ANCHOR_NONE; */
enum { PB_ANCHOR_FIRST = 0, PB_ANCHOR_LAST = 256, PB_ANCHOR_NONE = 512, PB_ANCHORS };
unsigned pb_rule_anchor(const pb_rule *of);
/* where it stands behind the name, 0 where it can match no more. */
uint64_t pb_rule_behind(const pb_rule *of, uint64_t set, const char *name, size_t length);

#endif
