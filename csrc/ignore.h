/* Ignore rules for those who walk: what the rules come to inside one folder. */
#ifndef PB_IGNORE_H
#define PB_IGNORE_H

#include "automaton.h"
#include "pybuild.h"

/* What is left of the rules inside a folder: the rule that counts for all in it, and those behind it that may still match
 * something in it. So a name is asked for against few rules, and never again against the folders above it. */
typedef struct pb_scope pb_scope;

/* What a thread of a walk remembers of names it has met; *ret stays NULL for rules that are too many for that. -ENOMEM. */
int pb_ignore_states(const pb_ignore *ignore, pb_states **ret);

/* The scope of the root, with what the thread remembers, or NULL; of a folder in the scope of the one above it. NULL without
 * memory. */
pb_scope *pb_scope_root(const pb_ignore *ignore, pb_states *states);
pb_scope *pb_scope_enter(const pb_scope *above, const char *name);
void pb_scope_free(pb_scope *scope);
/* As pb_ignore_match, for a name in the folder. */
int pb_scope_match(const pb_scope *scope, const char *name, int *rule);
/* Whether an exception may bring something back in the folder `name`, which is left out. */
int pb_scope_may_keep_below(const pb_scope *scope, const char *name);

/* What stands in front of the paths of a selection. */
const char *pb_ignore_below(const pb_ignore *ignore);

/* The same for a path. */
int pb_ignore_may_keep_below(const pb_ignore *ignore, const char *path);

#endif
