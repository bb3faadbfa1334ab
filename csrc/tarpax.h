/* What headers of a tar say: numbers, and the records in front of an entry (tarpax.c). Every byte may be hostile. */
#ifndef PB_TARPAX_H
#define PB_TARPAX_H

#include <stddef.h>
#include <stdint.h>

/* What pax records and GNU long names say about the next entry, or about all that follow. */
typedef struct {
    char *path, *target;
    int has_size, has_uid, has_gid, has_mtime;
    uint64_t size, uid, gid;
    int64_t mtime;
    uint8_t *xattrs; /* as in pb_tar_member */
    size_t xattrs_size;
} pb_tar_says;

/* The number in a header's field: octal, or in GNU's base-256 form; -1 for neither. */
int pb_tar_number(const char *field, size_t size, int64_t *ret);
/* A copy of a text in the place of an earlier one: 0, -ENOMEM, or -EBADMSG for one with a zero byte. */
int pb_tar_take_text(char **field, const char *value, size_t size);
/* Take the records of a pax header: as pb_tar_take_text, and -EOPNOTSUPP for those of a sparse file. */
int pb_tar_take_pax(pb_tar_says *into, const char *text, size_t size);
void pb_tar_says_clear(pb_tar_says *what);

#endif
