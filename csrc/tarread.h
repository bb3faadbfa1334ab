/* Reading tar streams: the parser (tarread.c) and what makes files of the entries (unpack.c). */
#ifndef PB_TARREAD_H
#define PB_TARREAD_H

#include "pybuild.h"

#include <stdlib.h>

/* One entry as the archive has it; texts belong to the parser. */
typedef struct {
    char type; /* '0' file, '1' hard link, '2' link, '3' char, '4' block, '5' directory, '6' fifo */
    char *path, *target;
    uint32_t mode;
    uint64_t uid, gid, size;
    uint32_t major, minor;
    int64_t mtime; /* nanoseconds */
    uint8_t *xattrs; /* records: name, zero byte, four bytes of length in the machine's order, value */
    size_t xattrs_size;
} pb_tar_member;

typedef struct pb_unpacker pb_unpacker;

int pb_unpacker_new(int root_fd, const char *prefix, int flags, int64_t uid, int64_t gid, pb_unpacker **ret);
void pb_unpacker_free(pb_unpacker *unpacker);
/* Begin an entry: all of it, but for a file's contents, which follow in pieces and end with pb_unpacker_end. */
int pb_unpacker_begin(pb_unpacker *unpacker, const pb_tar_member *entry, pb_error *error);
int pb_unpacker_data(pb_unpacker *unpacker, const uint8_t *data, size_t size, pb_error *error);
int pb_unpacker_end(pb_unpacker *unpacker, const pb_tar_member *entry, pb_error *error);
int pb_unpacker_finish(pb_unpacker *unpacker, pb_error *error);
int pb_unpacker_adopt(pb_unpacker *unpacker, int lower_fd, pb_error *error);

#endif
