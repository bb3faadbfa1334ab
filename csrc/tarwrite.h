/* What a writer of a tar holds; how it makes entries of the nodes of a tree (tarnode.c). */
#ifndef PB_TARWRITE_H
#define PB_TARWRITE_H

#include "delta.h"
#include "doubles.h"
#include "facts.h"
#include "linkmap.h"
#include "tarentry.h"
#include "tree.h"

/* A part of a piece: the next of its own bytes, or some of a file. */
typedef struct {
    uint32_t file; /* PB_NONE: own bytes */
    uint64_t at;
    size_t size;
} pb_stretch;

struct pb_tar_writer {
    pb_tree *tree;
    int flags;
    int64_t max_mtime;
    pb_nodes stack;             /* what is still to come, the next one last */
    pb_doubles doubles;         /* only of these files links are to be looked for */
    pb_linkmap links;
    size_t passed;              /* entries */
    pb_text pending;            /* headers, or the end */
    pb_facts *facts;            /* the caller's, or NULL */
    pb_hasher *hasher;          /* with the secret of the facts */
    pb_text bytes;              /* of the planned piece: all of it but the contents of files */
    pb_stretch *stretches;      /* the planned piece */
    size_t stretch_count, stretch_capacity;
    uint32_t folder;            /* whose descriptor is kept: the files of a folder come one after the other */
    int folder_fd;              /* or -1 */
    uint32_t file;              /* whose contents are next, from `file_at` on */
    uint64_t file_at, file_left;
    size_t padding;
    int state;
    const pb_delta *delta;      /* the caller's, as its tree is then; or NULL */
    size_t gone_at, gone_end;   /* of the delta's paths to remove, those that are still to come */
    const char *gone_last;      /* the last that was put */
};

/* Push a directory's children so that they come out sorted, whiteouts first. */
int pb_tar_push_children(pb_tar_writer *writer, uint32_t node, pb_error *error);
/* Put the headers of a node, and note the file whose contents follow: 1 with nothing done if a piece ends in front of the node and
 * `filled` bytes are enough for one. */
int pb_tar_put_node(pb_tar_writer *writer, uint32_t node, size_t filled, pb_error *error);
/* Open a file that must still be what the folder was when it was read. */
int pb_tar_open_file(pb_tar_writer *writer, uint32_t node, pb_error *error);

#endif
