/* Files with several names: from (device, inode) to what was done with the first of them. */
#ifndef PB_LINKMAP_H
#define PB_LINKMAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t device, inode;
    uint64_t number, copy_device, copy_inode; /* the caller's */
    char *path;      /* malloc'ed; NULL: an empty slot */
} pb_link;

/* A hash table; all zero is an empty one. */
typedef struct {
    pb_link *slots;
    size_t count, capacity;
} pb_linkmap;

/* 1 and the link if the file is known; 0 and the link if it was added now with this path (copied) and number; or -ENOMEM. `ret` may
 * be NULL. */
int pb_linkmap_add(pb_linkmap *map, uint64_t device, uint64_t inode, const char *path, uint64_t number, const pb_link **ret);
/* The link of a file, NULL if it is not known; it moves with the next addition. */
pb_link *pb_linkmap_find(const pb_linkmap *map, uint64_t device, uint64_t inode);
void pb_linkmap_free(pb_linkmap *map);

#endif
