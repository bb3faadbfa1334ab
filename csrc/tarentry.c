/* Headers of entries (POSIX.1-1988 ustar) and pax records (POSIX.1-2001 pax, "pax Header Block"). */
#include "tarentry.h"
#include "tarheader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { LARGEST_OCTAL_ID = 07777777 };

int pb_text_add(pb_text *out, const void *data, size_t size)
{
    if (out->size + size > out->capacity) {
        size_t capacity = out->capacity * 2 + size + 4096;
        uint8_t *bytes = realloc(out->bytes, capacity);
        if (!bytes)
            return -ENOMEM;
        out->bytes = bytes;
        out->capacity = capacity;
    }
    if (data)
        memcpy(out->bytes + out->size, data, size);
    else
        memset(out->bytes + out->size, 0, size);
    out->size += size;
    return 0;
}

static int is_octal(uint64_t value, size_t digits)
{
    return value >> (3 * digits) == 0;
}

static void put_octal(char *field, size_t size, uint64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%0*llo", (int)size - 1, (unsigned long long)value);
    memcpy(field, digits, size - 1);
    field[size - 1] = '\0';
}

/* Split a long name between the prefix and name fields; 0 if it cannot be. */
static int put_name(pb_tar_header *header, const char *name)
{
    size_t length = strlen(name);
    const char *slash;

    if (length <= sizeof header->name) {
        memcpy(header->name, name, length);
        return 1;
    }
    if (length > sizeof header->prefix + 1 + sizeof header->name)
        return 0;
    for (slash = name + length - 2; slash > name; slash--) {
        size_t front = (size_t)(slash - name), back = length - front - 1;
        if (*slash != '/' || front > sizeof header->prefix)
            continue;
        if (back > sizeof header->name)
            return 0;
        memcpy(header->prefix, name, front);
        memcpy(header->name, slash + 1, back);
        return 1;
    }
    return 0;
}

/* One pax record: its length counts itself. */
int pb_tar_put_record(pb_text *out, const char *key, const void *value, size_t size)
{
    size_t rest = strlen(key) + size + 3, length = rest, digits;
    char number[32];
    int failed;
    do {
        digits = (size_t)snprintf(number, sizeof number, "%zu", length);
        if (length == rest + digits)
            break;
        length = rest + digits;
    } while (1);
    failed = pb_text_add(out, number, digits);
    if (!failed)
        failed = pb_text_add(out, " ", 1);
    if (!failed)
        failed = pb_text_add(out, key, strlen(key));
    if (!failed)
        failed = pb_text_add(out, "=", 1);
    if (!failed)
        failed = pb_text_add(out, value, size);
    return failed ? failed : pb_text_add(out, "\n", 1);
}

static int put_number_record(pb_text *out, const char *key, int64_t value)
{
    char number[32];
    int length = snprintf(number, sizeof number, "%lld", (long long)value);
    return pb_tar_put_record(out, key, number, (size_t)length);
}

static int put_block(pb_text *out, pb_tar_header *header)
{
    char sum[24];
    memcpy(header->magic, "ustar", 6);
    memcpy(header->version, "00", 2);
    snprintf(sum, sizeof sum, "%06llo", (unsigned long long)pb_tar_checksum(header, 0));
    memcpy(header->checksum, sum, 7);
    header->checksum[7] = ' ';
    return pb_text_add(out, header, sizeof *header);
}

int pb_tar_put_entry(pb_text *out, const pb_tar_entry *from)
{
    pb_text records = {0};
    pb_tar_header header = {.type = from->type};
    size_t link_length = strlen(from->linkname);
    int failed = 0;

    if (!put_name(&header, from->name)) {
        failed = pb_tar_put_record(&records, "path", from->name, strlen(from->name));
        memcpy(header.name, from->name, sizeof header.name);
    }
    if (!failed && link_length > sizeof header.linkname)
        failed = pb_tar_put_record(&records, "linkpath", from->linkname, link_length);
    memcpy(header.linkname, from->linkname, link_length < sizeof header.linkname ? link_length : sizeof header.linkname);
    if (!failed && !is_octal(from->size, 11))
        failed = put_number_record(&records, "size", (int64_t)from->size);
    if (!failed && from->uid > LARGEST_OCTAL_ID)
        failed = put_number_record(&records, "uid", from->uid);
    if (!failed && from->gid > LARGEST_OCTAL_ID)
        failed = put_number_record(&records, "gid", from->gid);
    if (!failed && (from->mtime < 0 || !is_octal((uint64_t)from->mtime, 11)))
        failed = put_number_record(&records, "mtime", from->mtime);
    if (!failed && from->xattrs->size)
        failed = pb_text_add(&records, from->xattrs->bytes, from->xattrs->size);
    put_octal(header.mode, sizeof header.mode, from->mode & 07777);
    put_octal(header.uid, sizeof header.uid, from->uid > LARGEST_OCTAL_ID ? 0 : from->uid);
    put_octal(header.gid, sizeof header.gid, from->gid > LARGEST_OCTAL_ID ? 0 : from->gid);
    put_octal(header.size, sizeof header.size, is_octal(from->size, 11) ? from->size : 0);
    put_octal(header.mtime, sizeof header.mtime, from->mtime >= 0 && is_octal((uint64_t)from->mtime, 11) ? (uint64_t)from->mtime : 0);
    put_octal(header.devmajor, sizeof header.devmajor, major(from->rdev));
    put_octal(header.devminor, sizeof header.devminor, minor(from->rdev));
    if (!failed && records.size) {
        pb_tar_header extended = {.type = 'x'};
        memcpy(extended.name, "PaxHeaders/entry", 16);
        put_octal(extended.mode, sizeof extended.mode, 0644);
        put_octal(extended.uid, sizeof extended.uid, 0);
        put_octal(extended.gid, sizeof extended.gid, 0);
        put_octal(extended.size, sizeof extended.size, records.size);
        put_octal(extended.mtime, sizeof extended.mtime, 0);
        put_octal(extended.devmajor, sizeof extended.devmajor, 0);
        put_octal(extended.devminor, sizeof extended.devminor, 0);
        failed = put_block(out, &extended);
        if (!failed)
            failed = pb_text_add(out, records.bytes, records.size);
        if (!failed)
            failed = pb_text_add(out, NULL, (PB_TAR_BLOCK - records.size % PB_TAR_BLOCK) % PB_TAR_BLOCK);
    }
    if (!failed)
        failed = put_block(out, &header);
    free(records.bytes);
    return failed;
}
