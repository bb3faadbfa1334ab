/* Copying one entry (copyfile.c); what a copier holds. */
#ifndef PB_COPYFILE_H
#define PB_COPYFILE_H

#include "doubles.h"
#include "facts.h"
#include "linkmap.h"
#include "path.h"
#include "tree.h"

enum { PB_COPY_BUFFER = 256 * 1024 };

struct pb_copier {
    int root_fd;
    pb_copy_options options;
    char *symbolic; /* own copy of options.symbolic_mode */
    pb_owner_mode missing;
    uint8_t *buffer;
    int *tops;
    size_t top_count;
    pb_linkmap links; /* their number says which top the path begins at */
    pb_linkmap taken; /* copies that were taken away again for others of their names; the number is one of TAKEN_… */
    const pb_doubles *doubles; /* the files that may have several names, NULL: any */
    pb_copy_result result;
    pb_fact_list *facts; /* where to note the hashes of what was copied; NULL: nobody wants them */
};

/* Where an entry goes: a name in an open directory, which is `folder` below the top of that number. */
typedef struct {
    int dir_fd;
    const char *name;
    size_t top;
    const char *folder;
} pb_place;

/* What is known of a copy that was replaced by another source of the same name: nothing, its number may be another file's by
 * now; or only that one of its names is gone. */
enum { TAKEN_NOT = 0, TAKEN_WHOLLY = 1, TAKEN_A_NAME = 2 };

/* Whether links to it, or from it, are to be looked for. */
static inline int pb_copy_may_link(const pb_copier *copier, const pb_node *node)
{
    return node->nlink > 1 && (!copier->doubles || pb_doubles_have(copier->doubles, node));
}

/* Copy anything but a directory. `source_dir` is the folder of the node. */
int pb_copy_entry(pb_copier *copier, pb_tree *tree, uint32_t node, int source_dir, const pb_place *place, pb_error *error);
int pb_copy_bytes(pb_copier *copier, const uint8_t *data, size_t size, int dir_fd, const char *name, uint32_t mode,
                  pb_error *error);
/* Link to an earlier copy of the same file (copylinks.c): 1 if that was done; 0 if this is the first (that is left), which is then
 * remembered. */
int pb_copy_link(pb_copier *copier, const pb_node *node, const pb_place *place);
/* Remember which copy is the first of a file with several names. 0 or a negative errno. */
int pb_copy_remember(pb_copier *copier, const pb_node *node, const pb_place *place);
/* Owner, mode and xattrs of a node for an open file or directory, whose stat data were `now`; `source` is the source's descriptor,
 * -1: opened here. 1 if the file system does not take all of the xattrs. */
int pb_copy_attributes(pb_copier *copier, pb_tree *tree, uint32_t node, int source, int dest, const struct stat *now,
                       pb_error *error);
/* The extended attributes of one open file for another; 1 if the file system does not take all of them. */
int pb_copy_xattrs(int source, int dest);
int pb_set_times(int fd, int64_t time);
/* Set the times of copied directories below `top`, the first of the list, deepest first; `time` as in pb_copy_options. */
int pb_copy_times(const pb_tree *tree, const pb_nodes *folders, int top_fd, int64_t time, pb_error *error);

#endif
