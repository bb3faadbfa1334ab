/* Writing index files: each node is on its way to the disk as soon as it is appended. */
#ifndef PB_INDEX_H
#define PB_INDEX_H

#include "tree.h"

typedef struct pb_index_writer pb_index_writer;

/* Begin a file that takes its place when it is finished. A negative errno. `file` and `spare_fd` (see pb_spill_grow) must stay until
 * the end. */
int pb_index_start(const char *file, const pb_secret *secret, int spare_fd, pb_index_writer **ret);
/* The next node, with parent, first_child and child_count as they are in the file; children are behind their parents. */
int pb_index_append(pb_index_writer *writer, const pb_node *node, const char *name);
int pb_index_finish(pb_index_writer *writer);
/* Let go of all, and of the file if it was not finished. */
void pb_index_abandon(pb_index_writer *writer);

static inline void pb_index_writer_cleanup(pb_index_writer **writer)
{
    pb_index_abandon(*writer);
}
#define PB_INDEX_WRITER __attribute__((cleanup(pb_index_writer_cleanup)))

#endif
