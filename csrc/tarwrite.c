/* A deterministic tar of a folder, pulled in pieces: the same files give the same bytes.
 *
 * Entries come depth first, sorted bytewise, whiteouts before their siblings. What the classic header cannot hold goes into a
 * pax record in front of it (POSIX.1-2001 pax, "pax Header Block"); extended attributes are SCHILY.xattr records there.
 */
#include "error.h"
#include "tarheader.h"
#include "tarwrite.h"

#include <errno.h>
#include <string.h>

enum { FINISHED = 1 };

int pb_tar_open(int dir_fd, int flags, int64_t max_mtime, pb_facts *facts, pb_tar_writer **ret, pb_error *error)
{
    pb_tar_writer *writer = calloc(1, sizeof *writer);
    int failed;

    if (!writer)
        return pb_fail(error, ENOMEM, "archive", "%s", "");
    writer->folder_fd = -1;
    writer->flags = flags;
    writer->max_mtime = max_mtime;
    writer->facts = facts;
    failed = facts ? pb_hasher_new(&facts->secret, &writer->hasher) : 0;
    if (failed)
        pb_fail(error, -failed, "archive", "%s", "");
    else
        failed = pb_tree_open(dir_fd, NULL, NULL, NULL, dir_fd, &writer->tree, error);
    if (!failed)
        failed = pb_tree_read_all(writer->tree, 0, error);
    if (!failed && pb_doubles_find(writer->tree, NULL, &writer->doubles))
        failed = pb_fail(error, ENOMEM, "archive", "%s", "");
    if (!failed)
        failed = pb_tar_push_children(writer, 0, error);
    if (failed) {
        pb_tar_free(writer);
        return failed;
    }
    *ret = writer;
    return 0;
}

void pb_tar_free(pb_tar_writer *writer)
{
    if (!writer)
        return;
    if (writer->folder_fd >= 0)
        close(writer->folder_fd);
    if (!writer->delta)
        pb_tree_free(writer->tree);
    pb_hasher_free(writer->hasher);
    pb_linkmap_free(&writer->links);
    pb_doubles_free(&writer->doubles);
    free(writer->stack.items);
    free(writer->pending.bytes);
    free(writer->bytes.bytes);
    free(writer->stretches);
    free(writer);
}

int pb_tar_of_delta(const pb_delta *delta, uint32_t pack, pb_tar_writer **ret, pb_error *error)
{
    pb_tar_writer *writer = calloc(1, sizeof *writer);
    int failed = !writer ? -ENOMEM : !delta->starts || pack >= delta->packs ? -EINVAL : 0;

    if (!failed) {
        writer->folder_fd = -1;
        writer->flags = PB_TAR_ROOTFS;
        writer->delta = delta;
        writer->tree = delta->tree;
        writer->gone_end = pack ? 0 : delta->gone.size;
        writer->max_mtime = -1;
        failed = pb_doubles_find(writer->tree, NULL, &writer->doubles);
        for (uint32_t i = delta->starts[pack + 1]; !failed && i-- > delta->starts[pack];)
            failed = pb_nodes_add(&writer->stack, delta->order.items[i]);
    }
    if (failed) {
        pb_tar_free(writer);
        return pb_fail(error, -failed, "archive", "pack %u", pack);
    }
    *ret = writer;
    return 0;
}

/* The next path that is to be removed; what is in a folder that was removed needs no mention. */
static int put_gone(pb_tar_writer *writer, pb_error *error)
{
    static const pb_text none;
    const char *path = (const char *)writer->delta->gone.bytes + writer->gone_at;
    size_t above = writer->gone_last ? strlen(writer->gone_last) : 0;
    pb_tar_entry out = {.name = path, .linkname = "", .type = 'R', .xattrs = &none};
    int failed;

    writer->gone_at += strlen(path) + 1;
    if (above && !strncmp(writer->gone_last, path, above) && path[above] == '/')
        return 0;
    writer->gone_last = path;
    failed = pb_tar_put_entry(&writer->pending, &out);
    return failed ? pb_fail(error, -failed, "archive", "%s", path) : 0;
}

static int add_stretch(pb_tar_writer *writer, uint32_t file, uint64_t at, size_t size)
{
    if (file == PB_NONE && writer->stretch_count && writer->stretches[writer->stretch_count - 1].file == PB_NONE) {
        writer->stretches[writer->stretch_count - 1].size += size;
        return 0;
    }
    if (writer->stretch_count == writer->stretch_capacity) {
        size_t capacity = writer->stretch_capacity * 2 + 64;
        pb_stretch *stretches = realloc(writer->stretches, capacity * sizeof *stretches);
        if (!stretches)
            return -ENOMEM;
        writer->stretches = stretches;
        writer->stretch_capacity = capacity;
    }
    writer->stretches[writer->stretch_count++] = (pb_stretch){file, at, size};
    return 0;
}

/* The next bytes of headers and padding, or contents of a file, at most `room`: how many, 0 if an entry must come first. */
static int64_t plan_stretch(pb_tar_writer *writer, size_t room)
{
    pb_text *pending = &writer->pending;
    size_t part;
    int failed;

    if (pending->taken < pending->size) {
        part = pending->size - pending->taken < room ? pending->size - pending->taken : room;
        failed = pb_text_add(&writer->bytes, pending->bytes + pending->taken, part);
        pending->taken += part;
        if (!failed)
            failed = add_stretch(writer, PB_NONE, 0, part);
        return failed ? failed : (int64_t)part;
    }
    pending->size = pending->taken = 0;
    if (!writer->file_left)
        return 0;
    part = writer->file_left < room ? (size_t)writer->file_left : room;
    failed = add_stretch(writer, writer->file, writer->file_at, part);
    writer->file_at += part;
    writer->file_left -= part;
    if (!failed && !writer->file_left)
        failed = pb_text_add(pending, NULL, writer->padding);
    return failed ? failed : (int64_t)part;
}

static int64_t plan(pb_tar_writer *writer, size_t size, pb_error *error)
{
    size_t filled = 0;

    writer->stretch_count = writer->bytes.size = 0;
    while (filled < size) {
        int64_t part = plan_stretch(writer, size - filled);
        int cut;
        if (part < 0)
            return pb_fail(error, (int)-part, "archive", "%s", "");
        filled += (size_t)part;
        if (part)
            continue;
        if (writer->state == FINISHED)
            break;
        if (writer->gone_at < writer->gone_end) {
            cut = put_gone(writer, error);
            if (cut < 0)
                return cut;
            continue;
        }
        if (!writer->stack.count) {
            writer->state = FINISHED;
            if (pb_text_add(&writer->pending, NULL, 2 * PB_TAR_BLOCK))
                return pb_fail(error, ENOMEM, "archive", "%s", "");
            continue;
        }
        pb_tree_pass(writer->tree, writer->passed++);
        cut = pb_tar_put_node(writer, writer->stack.items[--writer->stack.count], filled, error);
        if (cut < 0)
            return cut;
        if (cut) {
            writer->stack.count++; /* it begins the next piece */
            break;
        }
    }
    return (int64_t)filled;
}

/* The fingerprint of what the planned piece is made of; 0 if the contents of a file in it are not known. */
static int name_plan(const pb_tar_writer *writer, pb_fingerprint *ret)
{
    const uint8_t *bytes = writer->bytes.bytes;

    if (!writer->hasher)
        return 0;
    pb_hasher_reset(writer->hasher);
    for (size_t i = 0; i < writer->stretch_count; i++) {
        const pb_stretch *part = &writer->stretches[i];
        const pb_node *node = part->file == PB_NONE ? NULL : &writer->tree->nodes[part->file];
        pb_hasher_number(writer->hasher, node != NULL);
        pb_hasher_number(writer->hasher, part->size);
        if (!node) {
            pb_hasher_update(writer->hasher, bytes, part->size);
            bytes += part->size;
            continue;
        }
        if (!(node->flags & PB_NODE_CONTENT))
            return 0;
        pb_hasher_number(writer->hasher, part->at);
        pb_hasher_number(writer->hasher, node->size);
        pb_hasher_update(writer->hasher, node->content.bytes, sizeof node->content.bytes);
    }
    pb_hasher_finish(writer->hasher, ret);
    return 1;
}

int64_t pb_tar_plan(pb_tar_writer *writer, size_t size, pb_fingerprint *name, int *named, pb_error *error)
{
    int64_t count = plan(writer, size, error);
    if (count >= 0)
        *named = name_plan(writer, name);
    return count;
}

static int read_part(pb_tar_writer *writer, const pb_stretch *part, uint8_t *buffer, pb_error *error)
{
    PB_CLOSE int fd = pb_tar_open_file(writer, part->file, error);
    size_t filled = 0;

    if (fd < 0)
        return fd;
    while (filled < part->size) {
        ssize_t count = pread(fd, buffer + filled, part->size - filled, (off_t)(part->at + filled));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return pb_fail(error, errno, "read", "%s", pb_tree_name(writer->tree, part->file));
        if (count == 0)
            return pb_fail_detail(error, ESTALE, "archive", pb_tree_name(writer->tree, part->file),
                                  "it became shorter while it was read");
        filled += (size_t)count;
    }
    return 0;
}

int pb_tar_fill(pb_tar_writer *writer, uint8_t *buffer, pb_error *error)
{
    const uint8_t *bytes = writer->bytes.bytes;

    for (size_t i = 0; i < writer->stretch_count; i++) {
        const pb_stretch *part = &writer->stretches[i];
        if (part->file == PB_NONE) {
            memcpy(buffer, bytes, part->size);
            bytes += part->size;
        } else {
            int failed = read_part(writer, part, buffer, error);
            if (failed)
                return failed;
        }
        buffer += part->size;
    }
    return 0;
}

int64_t pb_tar_read(pb_tar_writer *writer, uint8_t *buffer, size_t size, pb_error *error)
{
    int64_t count = plan(writer, size, error);
    int failed = count > 0 ? pb_tar_fill(writer, buffer, error) : 0;
    return failed ? failed : count;
}
