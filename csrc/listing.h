/* Listings: what a selection was, kept so that listings of selections which are nearly alike share nearly all.
 *
 * The entries of a selection are in one order. They are cut into leaves where the hash of an entry's key says so; a leaf
 * is a file of its own beside the listing, named by its fingerprint, and the listing itself is the list of these. So another
 * listing in the same folder, of a selection in which one file changed, adds a leaf and that list. One that has a single leaf holds
 * it itself.
 *
 *     listing  header | the fingerprints of the leaves, or the one leaf
 *     leaf     entries, each: bytes of the key that are those of the entry before, bytes that follow, these | mode, uid, gid, size,
 *              rdev | content, of files and links | 1 and the fingerprint of the xattrs, or 0; numbers as varints
 *
 * A key is the path of a chosen node and, after a NUL, the path below it. Keys are in the order of their bytes with NUL first and
 * `/` second, so that what is in a folder follows it at once.
 */
#ifndef PB_LISTING_H
#define PB_LISTING_H

#include "tree.h"

#include <string.h>

enum { PB_LEAF_NAME = 2 * sizeof(pb_fingerprint) + sizeof ".leaf" };

/* One chosen node and all below it. */
typedef struct {
    pb_nodes list;
    uint32_t *first; /* where in the list the contents of each item begin */
    char *path;
    pb_fingerprint *content, *xattrs; /* of each item, in place of those that the tree has; or NULL */
} pb_selection;

/* Give a collected selection its path and `first`. */
int pb_selection_complete(const pb_tree *tree, uint32_t node, pb_selection *ret, pb_error *error);
void pb_selection_clear(pb_selection *selected);
/* Write a listing of selections, which are put in order. `whole`: it holds its entries itself, however many they are. */
int pb_listing_save(const pb_tree *tree, pb_selection *chosen, size_t count, int flags, const pb_secret *secret, int whole,
                    const char *file, pb_error *error);

/* A listing in memory: it and its leaves are files of the folder. */
typedef struct {
    int folder_fd;
    uint8_t *data;
    const pb_fingerprint *leaves;
    uint32_t count;
    pb_fingerprint own_name; /* what `leaves` points to if the listing holds its leaf itself */
    const uint8_t *own;      /* that leaf, or NULL */
    size_t own_size;
} pb_listing;

typedef struct {
    char magic[8];
    uint32_t version, byte_order;
    uint32_t count; /* of leaves that are files; 0: the leaf is here */
    uint32_t unused;
    pb_fingerprint body; /* of what follows, with the secret */
} pb_listing_header;

enum { PB_LISTING_VERSION = 1 };
#define PB_LISTING_MAGIC "pblists"

void pb_leaf_name(const pb_fingerprint *leaf, char name[PB_LEAF_NAME]);
/* The folder of a listing's file and its name in that; malloc'ed, NULL without memory. */
char *pb_listing_folder(const char *file, const char **name);

/* listingread.c: 0, -EBADMSG for one that is damaged or was made with another secret, or what the system says. Closed in any case. */
int pb_listing_open(int folder_fd, const char *name, const pb_secret *secret, pb_listing *ret);
void pb_listing_close(pb_listing *listing);
/* A whole file that is a plain one; malloc'ed. A negative errno. */
int pb_listing_read(int folder_fd, const char *name, uint8_t **data, size_t *size);

static inline int pb_fingerprint_order(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(pb_fingerprint));
}

#endif
