/* Listings of the parts of a folder, written and read. What is read may be hostile. */
#include "delta.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char MAGIC[8] = {'p', 'b', 'p', 'a', 'r', 't', 's', '1'};
enum { LONGEST_PATH = 4095, BLOCK = 512 };

uint64_t pb_delta_weight(uint64_t size)
{
    return size + BLOCK; /* of a tar: the header */
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static int take_number(pb_record *record, uint64_t *ret)
{
    uint64_t number = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        if (record->at == record->end)
            return -EBADMSG;
        number |= (uint64_t)(*record->at & 0x7f) << shift;
        if (!(*record->at++ & 0x80)) {
            *ret = number;
            return 0;
        }
    }
    return -EBADMSG;
}

static int skip(pb_record *record, size_t size)
{
    if ((size_t)(record->end - record->at) < size)
        return -EBADMSG;
    record->at += size;
    return 0;
}

int pb_record_begin(pb_record *record, const pb_part_listing *listing)
{
    if (listing->size < sizeof MAGIC || memcmp(listing->data, MAGIC, sizeof MAGIC))
        return -EBADMSG;
    record->at = listing->data + sizeof MAGIC;
    record->end = listing->data + listing->size;
    record->length = 0;
    record->path[0] = '\0';
    return 0;
}

static int take_path(pb_record *record)
{
    uint64_t shared = 0, more = 0;

    if (take_number(record, &shared) || take_number(record, &more) || shared > record->length || more > LONGEST_PATH ||
        shared + more > LONGEST_PATH || !(shared + more) || (size_t)(record->end - record->at) < more ||
        memchr(record->at, 0, more))
        return -EBADMSG;
    memcpy(record->path + shared, record->at, more);
    record->length = shared + more;
    record->path[record->length] = '\0';
    return skip(record, more);
}

static int take_value(pb_record *record)
{
    uint64_t mode = 0, size = 0, number = 0;
    int failed = take_number(record, &mode);

    record->is_gone = !mode;
    record->weight = 0;
    if (failed || !mode)
        return failed;
    for (int i = 0; !failed && i < 5; i++) { /* uid, gid, size, rdev, mtime */
        failed = take_number(record, &number);
        if (i == 2)
            size = number;
    }
    if (failed || mode > UINT32_MAX || size > INT64_MAX)
        return -EBADMSG;
    if (S_ISREG(mode) || S_ISLNK(mode))
        failed = skip(record, sizeof(pb_fingerprint));
    if (failed || record->at == record->end || *record->at > 1)
        return -EBADMSG;
    record->weight = pb_delta_weight(S_ISREG(mode) ? size : 0);
    return *record->at++ ? skip(record, sizeof(pb_fingerprint)) : 0;
}

int pb_record_next(pb_record *record)
{
    int failed;

    if (record->at == record->end)
        return 0;
    failed = take_path(record);
    record->value = record->at;
    if (!failed)
        failed = take_value(record);
    record->value_size = (size_t)(record->at - record->value);
    return failed ? failed : 1;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static uint8_t *put_number(uint8_t *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (uint8_t)(number | 0x80);
    *at++ = (uint8_t)number;
    return at;
}

/* As a tar has it: whole seconds, those before 1970 rounded away from it. */
static int64_t seconds(int64_t time)
{
    return time >= 0 ? time / 1000000000 : -((-time + 999999999) / 1000000000);
}

int pb_delta_value(const pb_delta *delta, uint32_t node, uint8_t *at, pb_error *error)
{
    static const pb_fingerprint none;
    const pb_node *from = &delta->tree->nodes[node];
    int is_file = S_ISREG(from->mode), is_link = S_ISLNK(from->mode), failed = 0;
    int64_t time = is_file ? seconds(from->mtime) : 0; /* those of others change with every file, or nobody asks for them */
    int has_xattrs = !is_link && memcmp(&from->xattrs, &none, sizeof none);
    pb_fingerprint content, xattrs;
    uint8_t *begin = at;
    uint64_t hashed = 0;

    if (is_file || is_link)
        failed = pb_portable_content(delta->tree, node, delta->known, &content, &hashed, error);
    if (!failed && has_xattrs)
        failed = pb_portable_xattrs(delta->tree, node, &xattrs, error);
    if (failed)
        return failed;
    from = &delta->tree->nodes[node];
    at = put_number(at, is_link ? S_IFLNK | 0777 : from->mode);
    at = put_number(at, from->uid);
    at = put_number(at, from->gid);
    at = put_number(at, is_file ? from->size : 0);
    at = put_number(at, S_ISCHR(from->mode) || S_ISBLK(from->mode) ? from->rdev : 0);
    at = put_number(at, (uint64_t)time << 1 ^ (uint64_t)(time >> 63));
    if (is_file || is_link) {
        memcpy(at, &content, sizeof content);
        at += sizeof content;
    }
    *at++ = (uint8_t)has_xattrs;
    if (has_xattrs) {
        memcpy(at, &xattrs, sizeof xattrs);
        at += sizeof xattrs;
    }
    return (int)(at - begin);
}

/* The paths of a listing, each told by what it shares with the one before. */
typedef struct {
    FILE *stream;
    char *before;
} writer;

static int put_path(writer *to, const char *path)
{
    uint8_t numbers[20], *end;
    size_t shared = 0, length = strlen(path);

    if (length > LONGEST_PATH)
        return -ENAMETOOLONG;
    while (to->before && to->before[shared] && to->before[shared] == path[shared])
        shared++;
    end = put_number(put_number(numbers, shared), length - shared);
    fwrite(numbers, (size_t)(end - numbers), 1, to->stream);
    if (length > shared)
        fwrite(path + shared, length - shared, 1, to->stream);
    free(to->before);
    to->before = strdup(path);
    return to->before ? 0 : -ENOMEM;
}

static int put_all(const pb_delta *delta, writer *to, pb_error *error)
{
    uint8_t value[PB_LONGEST_VALUE];
    int failed = 0;

    fwrite(MAGIC, sizeof MAGIC, 1, to->stream);
    for (size_t at = 0; !failed && at < delta->gone.size; at += strlen((const char *)delta->gone.bytes + at) + 1) {
        failed = put_path(to, (const char *)delta->gone.bytes + at);
        fputc(0, to->stream);
    }
    for (size_t i = 0; !failed && i < delta->order.count; i++) {
        uint32_t node = delta->order.items[i];
        PB_FREE char *path = pb_tree_path(delta->tree, node);
        int size;
        pb_tree_pass(delta->tree, i);
        failed = path ? put_path(to, path) : -ENOMEM;
        if (failed)
            return pb_fail(error, -failed, "write listing", "%s", path ? path : "");
        size = pb_delta_value(delta, node, value, error);
        if (size < 0)
            return size;
        fwrite(value, (size_t)size, 1, to->stream);
    }
    return failed ? pb_fail(error, -failed, "write listing", "%s", "") : 0;
}

int pb_delta_save(const pb_delta *delta, const char *file, pb_error *error)
{
    PB_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    writer to = {.stream = fd < 0 ? NULL : fdopen(fd, "w")};
    int failed;

    if (!to.stream)
        return pb_fail(error, errno, "write listing", "%s", file);
    fd = -1; /* the stream's */
    failed = put_all(delta, &to, error);
    free(to.before);
    if (!failed && (fflush(to.stream) || ferror(to.stream)))
        failed = pb_fail(error, errno ? errno : EIO, "write listing", "%s", file);
    if (fclose(to.stream) && !failed)
        failed = pb_fail(error, errno, "write listing", "%s", file);
    return failed;
}
