/* A tar parser that is fed: v7, ustar, pax and GNU headers, in pieces of any size. Every byte may be hostile. */
#include "tarread.h"
#include "error.h"
#include "tarheader.h"
#include "tarpax.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { META_LIMIT = 1 << 20, PATH_LIMIT = 4096, END_BLOCKS = 2 };

enum state { AT_HEADER, IN_FILE, IN_META, IN_PADDING, AT_END };

struct pb_untar {
    pb_unpacker *unpacker;
    uint64_t max_bytes, max_entries;
    pb_untar_result result;
    enum state state;
    uint8_t block[PB_TAR_BLOCK];
    size_t filled;
    int zero_blocks;
    char meta_type;
    uint8_t *meta;
    size_t meta_size, meta_filled;
    uint64_t left;   /* of a file's contents */
    size_t padding;
    pb_tar_says next, global;
    pb_tar_member entry;
};

static int bad(pb_error *error, const char *path, const char *detail)
{
    return pb_fail_detail(error, EBADMSG, "unpack", path ? path : "the archive", "%s", detail);
}

static int header_is_sound(const pb_tar_header *header)
{
    int64_t sum;
    return !pb_tar_number(header->checksum, sizeof header->checksum, &sum) &&
           (sum == pb_tar_checksum(header, 0) || sum == pb_tar_checksum(header, 1));
}

int pb_is_tar(const uint8_t *data, size_t size)
{
    static const uint8_t zero[PB_TAR_BLOCK];
    if (size < PB_TAR_BLOCK || !memcmp(data, zero, sizeof zero))
        return 0;
    return header_is_sound((const pb_tar_header *)data);
}

/* --- entries ----------------------------------------------------------------------------------------------------- */

static char *header_path(const pb_tar_header *header)
{
    char *path;
    size_t prefix = 0;

    if (!memcmp(header->magic, "ustar\0", 6))
        prefix = strnlen(header->prefix, sizeof header->prefix);
    if (asprintf(&path, "%.*s%s%.*s", (int)prefix, header->prefix, prefix ? "/" : "",
                 (int)strnlen(header->name, sizeof header->name), header->name) < 0)
        return NULL;
    return path;
}

static char *pick(char **own, char **global, char *otherwise)
{
    char *found = *own ? *own : NULL;
    *own = NULL;
    if (!found && *global)
        found = strdup(*global);
    if (found) {
        free(otherwise);
        return found;
    }
    return otherwise;
}

static void free_entry(pb_tar_member *entry)
{
    free(entry->path);
    free(entry->target);
    free(entry->xattrs);
    memset(entry, 0, sizeof *entry);
}

static int begin_entry(pb_untar *untar, const pb_tar_header *header, pb_error *error)
{
    pb_tar_member *entry = &untar->entry;
    pb_tar_says *next = &untar->next, *global = &untar->global;
    int64_t mode, uid, gid, size, mtime, major, minor;

    free_entry(entry);
    entry->path = pick(&next->path, &global->path, header_path(header));
    entry->target = pick(&next->target, &global->target, strndup(header->linkname, sizeof header->linkname));
    if (!entry->path || !entry->target)
        return pb_fail(error, ENOMEM, "unpack", "%s", "");
    if (pb_tar_number(header->mode, sizeof header->mode, &mode) || pb_tar_number(header->uid, sizeof header->uid, &uid) ||
        pb_tar_number(header->gid, sizeof header->gid, &gid) || pb_tar_number(header->size, sizeof header->size, &size) ||
        pb_tar_number(header->mtime, sizeof header->mtime, &mtime))
        return bad(error, entry->path, "a number in its header cannot be read");
    major = minor = 0;
    if (header->type == '3' || header->type == '4')
        if (pb_tar_number(header->devmajor, sizeof header->devmajor, &major) ||
            pb_tar_number(header->devminor, sizeof header->devminor, &minor))
            return bad(error, entry->path, "a number in its header cannot be read");
    entry->type = header->type == '\0' || header->type == '7' ? '0' : header->type;
    if (entry->type == '0' && *entry->path && entry->path[strlen(entry->path) - 1] == '/')
        entry->type = '5'; /* how v7 wrote directories */
    entry->mode = (uint32_t)mode & 07777;
    entry->uid = next->has_uid ? next->uid : global->has_uid ? global->uid : (uint64_t)uid;
    entry->gid = next->has_gid ? next->gid : global->has_gid ? global->gid : (uint64_t)gid;
    entry->size = next->has_size ? next->size : (uint64_t)size;
    if (mtime > INT64_MAX / 1000000000 || mtime < INT64_MIN / 1000000000)
        mtime = 0;
    entry->mtime = next->has_mtime ? next->mtime : global->has_mtime ? global->mtime : mtime * 1000000000;
    entry->major = (uint32_t)major;
    entry->minor = (uint32_t)minor;
    entry->xattrs = next->xattrs;
    entry->xattrs_size = next->xattrs_size;
    next->xattrs = NULL;
    pb_tar_says_clear(next);
    if (strlen(entry->path) >= PATH_LIMIT || strlen(entry->target) >= PATH_LIMIT)
        return bad(error, "", "a name in it is longer than 4095 bytes");
    if ((int64_t)entry->size < 0 || entry->uid > UINT32_MAX - 1 || entry->gid > UINT32_MAX - 1)
        return bad(error, entry->path, "a number in its header is out of range");
    return 0;
}

static int begin_meta(pb_untar *untar, const pb_tar_header *header, pb_error *error)
{
    int64_t size;
    if (pb_tar_number(header->size, sizeof header->size, &size) || size < 0 || size > META_LIMIT)
        return bad(error, NULL, "an extended header in it is longer than 1 MiB, or its size cannot be read");
    untar->meta_type = header->type;
    untar->meta_size = (size_t)size;
    untar->meta_filled = 0;
    untar->padding = (PB_TAR_BLOCK - untar->meta_size % PB_TAR_BLOCK) % PB_TAR_BLOCK;
    free(untar->meta);
    untar->meta = malloc(untar->meta_size + 1);
    if (!untar->meta)
        return pb_fail(error, ENOMEM, "unpack", "%s", "");
    untar->state = IN_META;
    return 0;
}

static int end_meta(pb_untar *untar, pb_error *error)
{
    char *text = (char *)untar->meta;
    int failed = 0;

    text[untar->meta_size] = '\0';
    if (untar->meta_type == 'L')
        failed = pb_tar_take_text(&untar->next.path, text, strlen(text));
    else if (untar->meta_type == 'K')
        failed = pb_tar_take_text(&untar->next.target, text, strlen(text));
    else
        failed = pb_tar_take_pax(untar->meta_type == 'g' ? &untar->global : &untar->next, text, untar->meta_size);
    untar->state = untar->padding ? IN_PADDING : AT_HEADER;
    if (failed == -EOPNOTSUPP)
        return pb_fail_detail(error, EOPNOTSUPP, "unpack", "the archive", "sparse files in it are not supported");
    if (failed == -ENOMEM)
        return pb_fail(error, ENOMEM, "unpack", "%s", "");
    return failed ? bad(error, NULL, "an extended header in it cannot be read") : 0;
}

static int take_header(pb_untar *untar, pb_error *error)
{
    static const uint8_t zero[PB_TAR_BLOCK];
    const pb_tar_header *header = (const void *)untar->block;
    pb_tar_member *entry = &untar->entry;
    int failed;

    if (!memcmp(untar->block, zero, sizeof zero)) {
        if (++untar->zero_blocks == END_BLOCKS)
            untar->state = AT_END;
        return 0;
    }
    untar->zero_blocks = 0;
    if (!header_is_sound(header))
        return bad(error, NULL, untar->result.entries ? "a header in it is damaged (its checksum is wrong)"
                                                      : "it is no tar archive (the first header's checksum is wrong)");
    if (header->type == 'L' || header->type == 'K' || header->type == 'x' || header->type == 'g' || header->type == 'X')
        return begin_meta(untar, header, error);
    if (header->type == 'S')
        return pb_fail_detail(error, EOPNOTSUPP, "unpack", "the archive", "sparse files in it are not supported");
    failed = begin_entry(untar, header, error);
    if (failed)
        return failed;
    if (untar->max_entries && untar->result.entries >= untar->max_entries)
        return pb_fail_detail(error, EFBIG, "unpack", entry->path, "the archive has more than %llu entries",
                              (unsigned long long)untar->max_entries);
    untar->result.entries++;
    untar->left = entry->type == '0' || entry->type < '0' || entry->type > '7' ? entry->size : 0;
    untar->padding = (PB_TAR_BLOCK - untar->left % PB_TAR_BLOCK) % PB_TAR_BLOCK;
    if (untar->max_bytes && untar->left > untar->max_bytes - untar->result.bytes)
        return pb_fail_detail(error, EFBIG, "unpack", entry->path, "the archive unpacks to more than %llu bytes",
                              (unsigned long long)untar->max_bytes);
    untar->result.bytes += untar->left;
    failed = pb_unpacker_begin(untar->unpacker, entry, error);
    if (failed)
        return failed;
    if (untar->left) {
        untar->state = IN_FILE;
        return 0;
    }
    return pb_unpacker_end(untar->unpacker, entry, error);
}

int pb_untar_feed(pb_untar *untar, const uint8_t *data, size_t size, pb_error *error)
{
    while (size) {
        size_t part = size;
        int failed = 0;
        switch (untar->state) {
        case AT_HEADER:
            part = PB_TAR_BLOCK - untar->filled < size ? PB_TAR_BLOCK - untar->filled : size;
            memcpy(untar->block + untar->filled, data, part);
            untar->filled += part;
            if (untar->filled == PB_TAR_BLOCK) {
                untar->filled = 0;
                failed = take_header(untar, error);
            }
            break;
        case IN_META:
            part = untar->meta_size - untar->meta_filled < size ? untar->meta_size - untar->meta_filled : size;
            memcpy(untar->meta + untar->meta_filled, data, part);
            untar->meta_filled += part;
            if (untar->meta_filled == untar->meta_size)
                failed = end_meta(untar, error);
            break;
        case IN_FILE:
            part = untar->left < size ? (size_t)untar->left : size;
            failed = pb_unpacker_data(untar->unpacker, data, part, error);
            untar->left -= part;
            if (!failed && !untar->left) {
                untar->state = untar->padding ? IN_PADDING : AT_HEADER;
                failed = pb_unpacker_end(untar->unpacker, &untar->entry, error);
            }
            break;
        case IN_PADDING:
            part = untar->padding < size ? untar->padding : size;
            untar->padding -= part;
            if (!untar->padding)
                untar->state = AT_HEADER;
            break;
        case AT_END: /* whatever follows the end belongs to nobody */
            break;
        }
        if (failed)
            return failed;
        data += part;
        size -= part;
    }
    return 0;
}

int pb_untar_open(int root_fd, const char *prefix, int flags, int64_t uid, int64_t gid, uint64_t max_bytes,
                  uint64_t max_entries, pb_untar **ret, pb_error *error)
{
    pb_untar *untar = calloc(1, sizeof *untar);
    int failed = untar ? pb_unpacker_new(root_fd, prefix, flags, uid, gid, &untar->unpacker) : -ENOMEM;

    if (failed) {
        pb_untar_free(untar);
        return pb_fail(error, -failed, "unpack", "%s", prefix);
    }
    untar->max_bytes = max_bytes;
    untar->max_entries = max_entries;
    *ret = untar;
    return 0;
}

int pb_untar_finish(pb_untar *untar, pb_untar_result *ret, pb_error *error)
{
    int failed;
    if (untar->state == IN_FILE || untar->state == IN_META || untar->filled)
        return bad(error, untar->state == IN_FILE ? untar->entry.path : NULL, "the archive is cut short");
    failed = pb_unpacker_finish(untar->unpacker, error);
    if (!failed)
        *ret = untar->result;
    return failed;
}

int pb_untar_adopt(pb_untar *untar, int lower_fd, pb_error *error)
{
    return pb_unpacker_adopt(untar->unpacker, lower_fd, error);
}

void pb_untar_free(pb_untar *untar)
{
    if (!untar)
        return;
    pb_unpacker_free(untar->unpacker);
    pb_tar_says_clear(&untar->next);
    pb_tar_says_clear(&untar->global);
    free_entry(&untar->entry);
    free(untar->meta);
    free(untar);
}
