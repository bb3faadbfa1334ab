/* Memory of long arrays, which need not stay in memory.
 *
 * A short array lies on the heap. A long one lies in a file without a name, mapped: what nobody looks at just now may rest, that is,
 * leave the process, and comes back when it is touched. Where there is no place for such a file it has a mapping of its own, which
 * grows without being copied and leaves nothing behind. All zero is an empty array.
 */
#ifndef PB_SPILL_H
#define PB_SPILL_H

#include <stddef.h>

typedef struct {
    void *data;
    size_t capacity; /* bytes */
    int kind;        /* heap, mapping, file */
    int fd;          /* of the file */
} pb_spill;

/* Make room for `size` bytes in all: what is there stays, but may move. The file is made on the file system of `folder_fd`, -1: none
 * is made. A negative errno; then nothing has changed. */
int pb_spill_grow(pb_spill *spill, size_t size, int folder_fd);
/* Let it leave memory until it is touched. Threads may look at it meanwhile. */
void pb_spill_rest(const pb_spill *spill);
void pb_spill_free(pb_spill *spill);

#define PB_SPILL __attribute__((cleanup(pb_spill_free)))

#endif
