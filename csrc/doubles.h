/* Which files of a tree may have several names in it: nearly always none, although every file of a shared snapshot has several. */
#ifndef PB_DOUBLES_H
#define PB_DOUBLES_H

#include "tree.h"

/* Two bits for each of many slots; all zero is what nothing is known of. */
typedef struct {
    uint8_t *bits;
    uint64_t mask;
} pb_doubles;

/* Look at all nodes of a list, NULL: at all of the tree. -ENOMEM, or 0. */
int pb_doubles_find(const pb_tree *tree, const pb_nodes *list, pb_doubles *ret);
/* Whether a file was met more than once. It may be said of one that was not, but is never left unsaid. */
int pb_doubles_have(const pb_doubles *doubles, const pb_node *node);
void pb_doubles_free(pb_doubles *doubles);

#define PB_DOUBLES __attribute__((cleanup(pb_doubles_free)))

#endif
