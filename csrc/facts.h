/* What is known of files that were just written: their hashes, by inode, so that nobody has to read them again. */
#ifndef PB_FACTS_H
#define PB_FACTS_H

#include "tree.h"

typedef struct {
    uint64_t inode, size;
    int64_t mtime; /* nanoseconds */
    pb_fingerprint content, xattrs;
} pb_fact;

/* A list of its own, to be put into a pb_facts later: each thread fills one. All zero is an empty one. */
typedef struct {
    pb_fact *items;
    size_t count, capacity;
} pb_fact_list;

/* -ENOMEM; then nothing was added. */
int pb_fact_list_add(pb_fact_list *facts, const pb_fact *fact);

struct pb_facts {
    pb_secret secret; /* own copy */
    uint8_t *secret_data;
    int spare_fd; /* where they may lie, or -1 */
    pb_spill room;
    pb_fact *facts; /* in `room` */
    size_t count;
    size_t sorted; /* how many of them are in order, from the first on */
    size_t recalled; /* since they rested last */
};

/* Whether hashes of a tree may be put in: both were made with one secret. */
int pb_facts_fits(const pb_facts *known, const pb_secret *secret);
/* Add facts; -ENOMEM, then none was added. */
int pb_facts_add(pb_facts *known, const pb_fact *facts, size_t count);
/* The same with those of a list, which keeps its memory, but is empty then in any case. */
int pb_facts_take(pb_facts *known, pb_fact_list *facts);
/* Forget everything. */
void pb_facts_clear(pb_facts *known);
/* The hashes of a file with these stat data, into the node; 1 if they are known, 0 if not. */
int pb_facts_recall(pb_facts *known, pb_node *node);

#endif
