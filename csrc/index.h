/* Writing index files: nodes are appended breadth first, so that children are neighbours. */
#ifndef PB_INDEX_H
#define PB_INDEX_H

#include "tree.h"

typedef struct {
    uint32_t node;
    uint32_t earlier; /* of the earlier index, not of the tree */
} pb_source;

struct pb_index_writer {
    pb_node *nodes;
    uint32_t count, capacity;
    char *names;
    size_t names_size, names_capacity;
    pb_source *from; /* as many as nodes */
    uint32_t from_count, from_capacity;
};

int pb_index_append(pb_index_writer *writer, const pb_node *node, const char *name);
int pb_index_write(const pb_index_writer *writer, const pb_secret *secret, const char *file, pb_error *error);
void pb_index_writer_cleanup(pb_index_writer *writer);
#define PB_INDEX_WRITER __attribute__((cleanup(pb_index_writer_cleanup)))

#endif
