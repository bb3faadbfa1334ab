/* What the parts of the core know of a tree's inside.
 *
 * A tree is an array of nodes. The children of a directory are neighbours in it, sorted bytewise by name, and are appended
 * when the directory is first read: so a tree costs what was looked at, not what is there. The index file on disk has the
 * same nodes (pb_node is its format: raise PB_INDEX_VERSION with any change), and a directory's entry in it is known
 * before the directory is read, so that both lists are merged instead of looked up.
 */
#ifndef PB_TREE_H
#define PB_TREE_H

#include "hash.h"
#include "ignore.h"
#include "pybuild.h"
#include "spill.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PB_NONE UINT32_MAX

enum {
    PB_NODE_CONTENT = 1, /* `content` is known: of a file's bytes, a link's target, a listed directory's Merkle hash */
    PB_NODE_XATTRS = 2,  /* `xattrs` is known (all zero: it has none) */
    PB_NODE_READ = 4,    /* a directory whose children are there */
    PB_NODE_GONE = 8,    /* left out after all: a folder kept only for exceptions that did not come */
    PB_NODE_DOUBTFUL = 16 /* such a folder, while it is not known whether one comes */
};

typedef struct {
    uint32_t name;        /* offset into the names, ended by NUL; empty for the root */
    uint32_t parent;
    uint32_t first_child, child_count;
    uint32_t earlier;     /* the same path in the index, or PB_NONE */
    uint32_t mode;        /* with the type bits */
    uint32_t uid, gid, nlink;
    uint32_t flags;
    uint64_t size, inode, device, rdev;
    int64_t mtime, ctime; /* nanoseconds */
    pb_fingerprint content, xattrs;
} pb_node;

/* An index file in memory, read-only: every offset in it is checked when it is loaded. */
typedef struct {
    void *map;
    size_t size;
    const pb_node *nodes;
    uint32_t count;
    const char *names;
    size_t names_size;
} pb_index;

struct pb_tree {
    int root_fd;
    int spare_fd; /* a folder on whose file system nodes and names may lie, or -1 */
    const pb_ignore *ignore;
    struct pb_reader *reader; /* what walks of the caller's thread have at hand, or NULL */
    uint8_t *secret_data; /* own copy */
    pb_secret secret;
    pb_hasher *hasher;
    pb_index index;
    pb_node *nodes; /* in `node_room` */
    uint32_t count;
    char *names; /* in `name_room` */
    size_t names_size;
    pb_spill node_room, name_room;
    atomic_uint linked; /* how many of them may be files with several names; 0: none is */
    int64_t opened; /* when, nanoseconds: files changed about then or later are not trusted by the next build */
    pb_tree_stats stats;
};

static inline pb_node *pb_tree_node(pb_tree *tree, uint32_t node)
{
    return &tree->nodes[node];
}

static inline const char *pb_tree_name(const pb_tree *tree, uint32_t node)
{
    return tree->names + tree->nodes[node].name;
}

/* walk.c: make sure that a directory's children are there. Nodes may move: take pointers again afterwards. */
int pb_tree_read(pb_tree *tree, uint32_t node, pb_error *error);
/* The same for all directories at and below a node; by two threads, where there are enough. */
int pb_tree_read_all(pb_tree *tree, uint32_t node, pb_error *error);
void pb_reader_free(struct pb_reader *reader);
/* What pb_entry calls it. */
char pb_tree_kind(const pb_node *node);
/* The path of a node relative to the root, malloc'ed; NULL without memory. */
char *pb_tree_path(const pb_tree *tree, uint32_t node);
/* The path of a node relative to one above it (or equal: ""), malloc'ed. */
char *pb_tree_path_below(const pb_tree *tree, uint32_t top, uint32_t node);
/* Open a node inside the root, never through a link; paths of any length. */
int pb_tree_open_node(const pb_tree *tree, uint32_t node, int flags, pb_error *error);
/* The same for a path, which is changed meanwhile. */
int pb_tree_open_path(const pb_tree *tree, char *path, int flags, pb_error *error);
/* Make room for more nodes and bytes of names. Nodes may move. */
int pb_tree_reserve(pb_tree *tree, uint32_t nodes, size_t names);
/* Let nodes, names and index leave memory as far as they may, until they are asked for again. Threads may look at them meanwhile. */
void pb_tree_rest(const pb_tree *tree);
/* Whoever goes through many nodes in order, once for each: what is behind may rest. (Tests do so sooner.) */
#ifndef PB_PAUSE
#define PB_PAUSE (1 << 13)
#endif
enum { PB_REST_AFTER = PB_PAUSE };
static inline void pb_tree_pass(const pb_tree *tree, size_t passed)
{
    if (passed % PB_REST_AFTER == PB_REST_AFTER - 1)
        pb_tree_rest(tree);
}

void pb_node_fill(pb_node *node, const struct statx *stat);
/* Take over from the index what is still true: hashes, if not a single number of the stat data has changed. */
void pb_node_recall(const pb_tree *tree, pb_node *node);
/* Whether stat data are still what the tree has: 1 or 0. */
int pb_tree_unchanged(const pb_tree *tree, uint32_t node, const struct stat *now);

/* Whether a pattern set leaves out a node below `top`; top itself only if it is no directory, then by its name. A directory
 * stays if an exception keeps something in it, which may have to be read for that: nodes and names may move. */
int pb_tree_excluded(pb_tree *tree, uint32_t top, uint32_t node, const pb_ignore *exclude, int *result);

/* xattrs.c: which extended attributes count and are carried along. */
int pb_xattr_matters(const char *name);
/* Fingerprint of the attributes of an open file; all zero if it has none. */
int pb_xattr_fingerprint(int fd, pb_hasher *hasher, pb_fingerprint *ret);
/* The names that matter of an open file, sorted, each ended by NUL; malloc'ed, freed by the caller. */
int pb_xattr_list(int fd, char **ret, size_t *size);

/* index.c */
enum { PB_INDEX_VERSION = 2 };
void pb_index_load(const char *file, const pb_secret *secret, pb_index *ret);
void pb_index_close(pb_index *index);
/* Let its pages go until they are asked for again: a walk comes by each part of a large index once. */
void pb_index_rest(const pb_index *index);

/* hashing.c: make sure that the contents of files and links, and the xattrs, of some nodes are known. */
int pb_tree_hash(pb_tree *tree, const uint32_t *nodes, size_t count, pb_error *error);

/* A growing list of nodes. */
typedef struct {
    uint32_t *items;
    size_t count, capacity;
} pb_nodes;

int pb_nodes_add(pb_nodes *list, uint32_t node);
static inline void pb_nodes_cleanup(pb_nodes *list)
{
    free(list->items);
}
#define PB_NODES __attribute__((cleanup(pb_nodes_cleanup)))

/* collect.c: all nodes at and below `top` that `exclude` leaves, reading directories as needed; parents before children, and the
 * children of a directory in order. */
int pb_tree_collect(pb_tree *tree, uint32_t top, const pb_ignore *exclude, pb_nodes *ret, pb_error *error);

/* select.c: collect a selection, hash what must be, and fingerprint its directories: *merkle has one fingerprint for each
 * item of the list (those of other kinds stay zero), malloc'ed. */
int pb_tree_digest(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_nodes *list,
                   pb_fingerprint **merkle, pb_error *error);
/* Where in a collected list the contents of each item begin; they end where the next item's begin. malloc'ed, NULL without
 * memory. */
uint32_t *pb_tree_ranges(const pb_tree *tree, const pb_nodes *list);

#endif
