/* What is in one directory, read apart from the tree, so that several threads may read at once. */
#ifndef PB_DIRECTORY_H
#define PB_DIRECTORY_H

#include "tree.h"

/* Who reads fills in the first part, and finds the rest afterwards. Its buffers serve one directory after the other. */
typedef struct {
    const pb_tree *tree; /* of which only what never changes is looked at: its root and its index */
    char *path;          /* relative to the root; cut while it is opened, whole afterwards */
    const pb_scope *scope; /* the rules inside it, or NULL */
    uint32_t earlier;    /* the same directory in the index, or PB_NONE */
    int wants_xattrs;

    pb_node *nodes; /* sorted; `name` is the offset in `names`, `parent` is left open */
    uint32_t count;
    char *names;
    size_t names_size;
    uint64_t entries;      /* looked at */
    pb_fingerprint xattrs; /* of the directory itself, if wanted */

    pb_hasher *hasher;
    size_t node_capacity, names_capacity;
    char *raw; /* names as they came, each ended by NUL */
    size_t raw_size, raw_capacity;
    const char **sorted;
    size_t sorted_capacity;
    char *buffer;
} pb_directory;

/* Make ready: the buffers, and a hasher with the tree's secret. Freed in any case. */
int pb_directory_start(pb_directory *directory, const pb_tree *tree);
void pb_directory_free(pb_directory *directory);
/* Look at all that is in it, but for what the rules leave out. */
int pb_directory_read(pb_directory *directory, pb_error *error);

#endif
