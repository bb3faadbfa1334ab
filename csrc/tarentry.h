/* Entries of a tar, written: a header for each, and what it cannot hold in a pax record in front of it. */
#ifndef PB_TARENTRY_H
#define PB_TARENTRY_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that grow; `taken` is how many of them somebody has got. Freed by the owner: `bytes`. */
typedef struct {
    uint8_t *bytes;
    size_t size, capacity, taken;
} pb_text;

typedef struct {
    const char *name, *linkname;
    char type;
    uint32_t mode, uid, gid;
    uint64_t size, rdev;
    int64_t mtime; /* seconds */
    const pb_text *xattrs; /* as records */
} pb_tar_entry;

/* Add bytes, zeroes if `data` is NULL; 0 or -ENOMEM, as the others. */
int pb_text_add(pb_text *out, const void *data, size_t size);
/* One pax record. */
int pb_tar_put_record(pb_text *out, const char *key, const void *value, size_t size);
/* The header of an entry, records in front of it. */
int pb_tar_put_entry(pb_text *out, const pb_tar_entry *from);

#endif
