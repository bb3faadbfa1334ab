#include "tarpax.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pb_tar_number(const char *field, size_t size, int64_t *ret)
{
    const unsigned char *bytes = (const unsigned char *)field;
    size_t at = 0;
    int64_t value = 0;

    if (bytes[0] & 0x80) {
        value = bytes[0] & 0x40 ? -1 : 0;
        value = value * 64 + (bytes[0] & 0x3f);
        for (at = 1; at < size; at++) {
            if (value > INT64_MAX >> 8 || value < INT64_MIN >> 8)
                return -1;
            value = value * 256 + bytes[at];
        }
        *ret = value;
        return 0;
    }
    while (at < size && (bytes[at] == ' ' || bytes[at] == '\0'))
        at++;
    for (; at < size && bytes[at] >= '0' && bytes[at] <= '7'; at++) {
        if (value > INT64_MAX >> 3)
            return -1;
        value = value * 8 + (bytes[at] - '0');
    }
    if (at < size && bytes[at] != ' ' && bytes[at] != '\0')
        return -1;
    *ret = value;
    return 0;
}

void pb_tar_says_clear(pb_tar_says *what)
{
    free(what->path);
    free(what->target);
    free(what->xattrs);
    memset(what, 0, sizeof *what);
}

/* "123.456789" as nanoseconds. */
static int parse_time(const char *value, size_t size, int64_t *ret)
{
    int negative = size && *value == '-', digits = 0;
    int64_t seconds = 0, rest = 0;
    size_t at = (size_t)negative;

    for (; at < size && value[at] >= '0' && value[at] <= '9'; at++) {
        if (seconds > INT64_MAX / 10 / 1000000000 - 1)
            return -1;
        seconds = seconds * 10 + (value[at] - '0');
    }
    if (at < size && value[at] == '.') {
        for (at++; at < size && value[at] >= '0' && value[at] <= '9'; at++)
            if (digits < 9) {
                rest = rest * 10 + (value[at] - '0');
                digits++;
            }
    }
    if (at != size)
        return -1;
    for (; digits < 9; digits++)
        rest *= 10;
    *ret = (seconds * 1000000000 + rest) * (negative ? -1 : 1);
    return 0;
}

static int parse_decimal(const char *value, size_t size, uint64_t *ret)
{
    uint64_t number = 0;
    if (!size)
        return -1;
    for (size_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9' || number > (uint64_t)INT64_MAX / 10 - 9)
            return -1;
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    *ret = number;
    return 0;
}

int pb_tar_take_text(char **field, const char *value, size_t size)
{
    if (memchr(value, 0, size))
        return -EBADMSG;
    free(*field);
    *field = strndup(value, size);
    return *field ? 0 : -ENOMEM;
}

/* Bytes of attributes: more than one header can say, which is what an entry has. */
enum { XATTRS_LIMIT = 1 << 20 };

static int take_xattr(pb_tar_says *into, const char *name, size_t name_size, const char *value, size_t size)
{
    uint32_t length = (uint32_t)size;
    size_t total = into->xattrs_size + name_size + 1 + sizeof length + size;
    uint8_t *grown, *at;

    if (total > XATTRS_LIMIT)
        return -EBADMSG;
    grown = realloc(into->xattrs, total);
    if (!grown)
        return -ENOMEM;
    into->xattrs = grown;
    at = grown + into->xattrs_size;
    memcpy(at, name, name_size);
    at += name_size;
    *at++ = '\0';
    memcpy(at, &length, sizeof length);
    memcpy(at + sizeof length, value, size);
    into->xattrs_size = total;
    return 0;
}

static int is_key(const char *key, size_t size, const char *wanted)
{
    return strlen(wanted) == size && !memcmp(key, wanted, size);
}

static int take_record(pb_tar_says *into, const char *key, size_t key_size, const char *value, size_t size)
{
    static const char xattr[] = "SCHILY.xattr.";
    size_t prefix = sizeof xattr - 1;

    if (is_key(key, key_size, "path"))
        return pb_tar_take_text(&into->path, value, size);
    if (is_key(key, key_size, "linkpath"))
        return pb_tar_take_text(&into->target, value, size);
    if (is_key(key, key_size, "size"))
        return (into->has_size = 1, parse_decimal(value, size, &into->size) ? -EBADMSG : 0);
    if (is_key(key, key_size, "uid"))
        return (into->has_uid = 1, parse_decimal(value, size, &into->uid) ? -EBADMSG : 0);
    if (is_key(key, key_size, "gid"))
        return (into->has_gid = 1, parse_decimal(value, size, &into->gid) ? -EBADMSG : 0);
    if (is_key(key, key_size, "mtime"))
        return (into->has_mtime = 1, parse_time(value, size, &into->mtime) ? -EBADMSG : 0);
    if (key_size > 11 && !memcmp(key, "GNU.sparse.", 11))
        return -EOPNOTSUPP;
    if (key_size > prefix && key_size - prefix < 256 && size <= 65536 && !memcmp(key, xattr, prefix) &&
        !memchr(key, 0, key_size))
        return take_xattr(into, key + prefix, key_size - prefix, value, size);
    return 0;
}

int pb_tar_take_pax(pb_tar_says *into, const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint64_t length;
        const char *blank = memchr(text + at, ' ', size - at), *equals;
        int failed;
        if (!blank || parse_decimal(text + at, (size_t)(blank - text) - at, &length) || length > size - at ||
            length < (size_t)(blank - text) - at + 3 || text[at + length - 1] != '\n')
            return -EBADMSG;
        blank++;
        equals = memchr(blank, '=', (size_t)(text + at + length - 1 - blank));
        if (!equals)
            return -EBADMSG;
        failed = take_record(into, blank, (size_t)(equals - blank), equals + 1, (size_t)(text + at + length - 1 - equals - 1));
        if (failed)
            return failed;
        at += length;
    }
    return 0;
}
