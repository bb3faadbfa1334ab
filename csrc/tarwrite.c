/* A deterministic tar of a folder, pulled in pieces: the same files give the same bytes.
 *
 * Entries come depth first, sorted bytewise, whiteouts before their siblings. What the classic header cannot hold goes into a
 * pax record in front of it (POSIX.1-2001 pax, "pax Header Block"); extended attributes are SCHILY.xattr records there.
 */
#include "doubles.h"
#include "error.h"
#include "facts.h"
#include "linkmap.h"
#include "tarentry.h"
#include "tarheader.h"
#include "tree.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { FINISHED = 1 };
enum { PIECE = 256 * 1024, SMALLEST_PIECE = 64 * 1024 };

/* A part of a piece: the next of its own bytes, or some of a file. */
typedef struct {
    uint32_t file; /* PB_NONE: own bytes */
    uint64_t at;
    size_t size;
} stretch;

struct pb_tar_writer {
    pb_tree *tree;
    int flags;
    int64_t max_mtime;
    pb_nodes stack;     /* what is still to come, the next one last */
    pb_doubles doubles; /* only of these files links are to be looked for */
    pb_linkmap links;
    size_t passed; /* entries */
    pb_text pending;       /* headers, or the end */
    pb_facts *facts;    /* the caller's, or NULL */
    pb_hasher *hasher;  /* with the secret of the facts */
    pb_text bytes;         /* of the planned piece: all of it but the contents of files */
    stretch *stretches; /* the planned piece */
    size_t stretch_count, stretch_capacity;
    uint32_t folder;    /* whose descriptor is kept: the files of a folder come one after the other */
    int folder_fd;      /* or -1 */
    uint32_t file;      /* whose contents are next, from `file_at` on */
    uint64_t file_at, file_left;
    size_t padding;
    int state;
    uint32_t part, parts; /* parts 0: everything */
};

/* --- entries ------------------------------------------------------------------------------------------------- */

static int read_xattrs(int fd, pb_text *out)
{
    PB_FREE char *names = NULL, *value = NULL;
    size_t size;
    int failed = pb_xattr_list(fd, &names, &size);

    if (failed || !size)
        return failed;
    value = malloc(65536);
    if (!value)
        return -ENOMEM;
    for (const char *name = names; !failed && name < names + size; name += strlen(name) + 1) {
        char key[300];
        ssize_t length = fgetxattr(fd, name, value, 65536);
        if (length < 0)
            return -errno;
        snprintf(key, sizeof key, "SCHILY.xattr.%s", name);
        failed = pb_tar_put_record(out, key, value, (size_t)length);
    }
    return failed;
}

static int is_whiteout(const pb_tar_writer *writer, const pb_node *node)
{
    return writer->flags & PB_TAR_LAYER && S_ISCHR(node->mode) && node->rdev == 0;
}

static int put_whiteout(pb_tar_writer *writer, const char *path, const char *name)
{
    static const pb_text none;
    PB_FREE char *full = NULL;
    size_t folder = strlen(path) - strlen(name);
    pb_tar_entry out = {.linkname = "", .type = '0', .xattrs = &none};

    if (asprintf(&full, "%.*s.wh.%s", (int)folder, path, name) < 0) {
        full = NULL;
        return -ENOMEM;
    }
    out.name = full;
    return pb_tar_put_entry(&writer->pending, &out);
}

static int64_t seconds(const pb_tar_writer *writer, int64_t time)
{
    if (writer->max_mtime >= 0 && time > writer->max_mtime)
        time = writer->max_mtime;
    return time >= 0 ? time / 1000000000 : -((-time + 999999999) / 1000000000);
}

/* Push a directory's children so that they come out sorted, whiteouts first. */
static int push_children(pb_tar_writer *writer, uint32_t node, pb_error *error)
{
    pb_tree *tree = writer->tree;
    int failed = pb_tree_read(tree, node, error);

    if (failed)
        return failed;
    for (int whiteouts = 0; whiteouts < 2; whiteouts++)
        for (uint32_t i = tree->nodes[node].child_count; !failed && i-- > 0;) {
            uint32_t child = tree->nodes[node].first_child + i;
            if (is_whiteout(writer, &tree->nodes[child]) == whiteouts)
                failed = pb_nodes_add(&writer->stack, child);
        }
    return failed ? pb_fail(error, -failed, "archive", "%s", pb_tree_name(tree, node)) : 0;
}

static int is_opaque(int fd)
{
    char value[4];
    return (fgetxattr(fd, "trusted.overlay.opaque", value, sizeof value) == 1 && *value == 'y') ||
           (fgetxattr(fd, "user.overlay.opaque", value, sizeof value) == 1 && *value == 'y');
}

static int put_folder(pb_tar_writer *writer, uint32_t node, pb_tar_entry *out, const char *path, pb_error *error)
{
    PB_CLOSE int fd = pb_tree_open_node(writer->tree, node, O_RDONLY | O_DIRECTORY, error);
    PB_FREE char *name = NULL;
    pb_text xattrs = {0};
    int failed;

    if (fd < 0)
        return fd;
    if (asprintf(&name, "%s/", path) < 0) {
        name = NULL;
        return pb_fail(error, ENOMEM, "archive", "%s", path);
    }
    out->name = name;
    out->type = '5';
    out->xattrs = &xattrs;
    failed = read_xattrs(fd, &xattrs);
    if (!failed)
        failed = pb_tar_put_entry(&writer->pending, out);
    free(xattrs.bytes);
    if (!failed && writer->flags & PB_TAR_LAYER && is_opaque(fd)) {
        PB_FREE char *marked = NULL;
        if (asprintf(&marked, "%s/.wh..opq", path) < 0) {
            marked = NULL;
            failed = -ENOMEM;
        } else {
            failed = put_whiteout(writer, marked, ".wh..opq");
        }
    }
    return failed ? pb_fail(error, -failed, "archive", "%s", path) : push_children(writer, node, error);
}

/* The descriptor of a folder; it belongs to the writer. */
static int open_folder(pb_tar_writer *writer, uint32_t node, pb_error *error)
{
    if (writer->folder_fd >= 0 && writer->folder == node)
        return writer->folder_fd;
    if (writer->folder_fd >= 0)
        close(writer->folder_fd);
    writer->folder_fd = pb_tree_open_node(writer->tree, node, O_PATH | O_DIRECTORY, error);
    writer->folder = node;
    return writer->folder_fd;
}

/* Open a file that must still be what the folder was when it was read. */
static int open_file(pb_tar_writer *writer, uint32_t node, pb_error *error)
{
    const pb_node *from = &writer->tree->nodes[node];
    int folder = open_folder(writer, from->parent, error);
    PB_CLOSE int fd = -1;
    struct stat now;

    if (folder < 0)
        return folder;
    fd = openat(folder, pb_tree_name(writer->tree, node), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &now))
        return pb_fail(error, errno, "open", "%s", pb_tree_name(writer->tree, node));
    if (!S_ISREG(now.st_mode) || (uint64_t)now.st_size != from->size)
        return pb_fail_detail(error, ESTALE, "archive", pb_tree_name(writer->tree, node), "it changed while it was read");
    return pb_take_fd(&fd);
}

static int put_file(pb_tar_writer *writer, uint32_t node, pb_tar_entry *out, pb_error *error)
{
    static const pb_fingerprint none;
    pb_node *from = &writer->tree->nodes[node];
    pb_text xattrs = {0};
    int failed = 0;

    if (writer->facts)
        pb_facts_recall(writer->facts, from);
    if (!(from->flags & PB_NODE_XATTRS) || memcmp(&from->xattrs, &none, sizeof none)) {
        PB_CLOSE int fd = open_file(writer, node, error);
        if (fd < 0)
            return fd;
        failed = read_xattrs(fd, &xattrs);
    }
    out->xattrs = &xattrs;
    if (!failed)
        failed = pb_tar_put_entry(&writer->pending, out);
    free(xattrs.bytes);
    if (failed)
        return pb_fail(error, -failed, "archive", "%s", out->name);
    writer->file = node;
    writer->file_at = 0;
    writer->file_left = out->size;
    writer->padding = (PB_TAR_BLOCK - out->size % PB_TAR_BLOCK) % PB_TAR_BLOCK;
    return 0;
}

static int put_link(pb_tar_writer *writer, uint32_t node, pb_tar_entry *out, pb_error *error)
{
    char target[4097];
    PB_CLOSE int fd = pb_tree_open_node(writer->tree, node, O_PATH | O_NOFOLLOW, error);
    ssize_t length;
    int failed;

    if (fd < 0)
        return fd;
    length = readlinkat(fd, "", target, sizeof target - 1);
    if (length < 0)
        return pb_fail(error, errno, "read link", "%s", out->name);
    target[length] = '\0';
    out->linkname = target;
    out->type = '2';
    out->mode = 0777;
    failed = pb_tar_put_entry(&writer->pending, out);
    out->linkname = "";
    return failed ? pb_fail(error, -failed, "archive", "%s", out->name) : 0;
}

/* Whether a piece ends in front of an entry: so often that pieces have about that size, whatever the sizes of files. */
static int is_cut(const char *path, const pb_node *node)
{
    pb_fingerprint hash;
    uint64_t number;

    pb_hash_bytes((const uint8_t *)path, strlen(path), NULL, &hash);
    memcpy(&number, hash.bytes, sizeof number);
    return be64toh(number) % PIECE < (S_ISREG(node->mode) ? node->size : 0) + PB_TAR_BLOCK;
}

/* 1 with nothing done if a piece ends in front of the node and `filled` is enough for one. */
static int put_node(pb_tar_writer *writer, uint32_t node, size_t filled, pb_error *error)
{
    static const pb_text none;
    const pb_node *from = &writer->tree->nodes[node];
    const char *name = pb_tree_name(writer->tree, node);
    PB_FREE char *path = pb_tree_path(writer->tree, node);
    pb_tar_entry out = {.name = path,
                 .linkname = "",
                 .mode = from->mode,
                 .uid = from->uid,
                 .gid = from->gid,
                 .mtime = seconds(writer, from->mtime),
                 .xattrs = &none};
    int failed;

    if (!path)
        return pb_fail(error, ENOMEM, "archive", "%s", "");
    if (writer->flags & PB_TAR_PIECES && filled >= SMALLEST_PIECE && is_cut(path, from))
        return 1;
    if (is_whiteout(writer, from)) {
        failed = put_whiteout(writer, path, name);
        return failed ? pb_fail(error, -failed, "archive", "%s", path) : 0;
    }
    if (writer->flags & PB_TAR_LAYER && !strncmp(name, ".wh.", 4))
        return pb_fail_detail(error, EINVAL, "archive", path, "a layer cannot hold a file whose name begins with .wh.");
    if (S_ISDIR(from->mode))
        return put_folder(writer, node, &out, path, error);
    if (S_ISSOCK(from->mode))
        return 0;
    if (from->nlink > 1 && pb_doubles_have(&writer->doubles, from)) {
        const pb_link *first;
        int known = pb_linkmap_add(&writer->links, from->device, from->inode, path, 0, &first);
        if (known > 0) {
            out.type = '1';
            out.linkname = first->path;
            known = pb_tar_put_entry(&writer->pending, &out);
            return known ? pb_fail(error, -known, "archive", "%s", path) : 0;
        }
        if (known < 0)
            return pb_fail(error, -known, "archive", "%s", path);
    }
    if (S_ISREG(from->mode)) {
        out.type = '0';
        out.size = from->size;
        return put_file(writer, node, &out, error);
    }
    if (S_ISLNK(from->mode))
        return put_link(writer, node, &out, error);
    out.type = S_ISCHR(from->mode) ? '3' : S_ISBLK(from->mode) ? '4' : '6';
    out.rdev = S_ISFIFO(from->mode) ? 0 : from->rdev;
    failed = pb_tar_put_entry(&writer->pending, &out);
    return failed ? pb_fail(error, -failed, "archive", "%s", path) : 0;
}

/* --- pieces ---------------------------------------------------------------------------------------------------- */

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
    failed = failed ? pb_fail(error, -failed, "archive", "%s", "") : pb_tree_open(dir_fd, NULL, NULL, NULL, dir_fd, &writer->tree, error);
    if (!failed)
        failed = pb_tree_read_all(writer->tree, 0, error);
    if (!failed && pb_doubles_find(writer->tree, NULL, &writer->doubles))
        failed = pb_fail(error, ENOMEM, "archive", "%s", "");
    if (!failed)
        failed = push_children(writer, 0, error);
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

/* Whether an entry is in the part that was asked for. Folders are gone through in any case. */
static int is_selected(const pb_tar_writer *writer, uint32_t node)
{
    const char *name = pb_tree_name(writer->tree, node);
    pb_fingerprint hash;
    uint32_t number;

    if (!writer->parts)
        return 1;
    if (!S_ISREG(writer->tree->nodes[node].mode))
        return writer->part == 0;
    pb_hash_bytes((const uint8_t *)name, strlen(name), NULL, &hash);
    number = (uint32_t)hash.bytes[12] << 24 | (uint32_t)hash.bytes[13] << 16 | (uint32_t)hash.bytes[14] << 8 | hash.bytes[15];
    return writer->part == 1 + number % writer->parts;
}

static int put_selected(pb_tar_writer *writer, uint32_t node, size_t filled, pb_error *error)
{
    if (is_selected(writer, node))
        return put_node(writer, node, filled, error);
    return S_ISDIR(writer->tree->nodes[node].mode) ? push_children(writer, node, error) : 0;
}

int pb_tar_select(pb_tar_writer *writer, uint32_t part, uint32_t parts, int64_t max_mtime, pb_error *error)
{
    if (!parts || part > parts)
        return pb_fail(error, EINVAL, "archive", "part %u of %u", part, parts);
    writer->file_left = 0;
    pb_linkmap_free(&writer->links);
    memset(&writer->links, 0, sizeof writer->links);
    writer->pending.size = writer->pending.taken = 0;
    writer->stack.count = 0;
    writer->state = 0;
    writer->part = part;
    writer->parts = parts;
    writer->max_mtime = max_mtime;
    return push_children(writer, 0, error);
}

static int add_stretch(pb_tar_writer *writer, uint32_t file, uint64_t at, size_t size)
{
    if (file == PB_NONE && writer->stretch_count && writer->stretches[writer->stretch_count - 1].file == PB_NONE) {
        writer->stretches[writer->stretch_count - 1].size += size;
        return 0;
    }
    if (writer->stretch_count == writer->stretch_capacity) {
        size_t capacity = writer->stretch_capacity * 2 + 64;
        stretch *stretches = realloc(writer->stretches, capacity * sizeof *stretches);
        if (!stretches)
            return -ENOMEM;
        writer->stretches = stretches;
        writer->stretch_capacity = capacity;
    }
    writer->stretches[writer->stretch_count++] = (stretch){file, at, size};
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
        if (!writer->stack.count) {
            writer->state = FINISHED;
            if (pb_text_add(&writer->pending, NULL, 2 * PB_TAR_BLOCK))
                return pb_fail(error, ENOMEM, "archive", "%s", "");
            continue;
        }
        pb_tree_pass(writer->tree, writer->passed++);
        cut = put_selected(writer, writer->stack.items[--writer->stack.count], filled, error);
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
        const stretch *part = &writer->stretches[i];
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

static int read_part(pb_tar_writer *writer, const stretch *part, uint8_t *buffer, pb_error *error)
{
    PB_CLOSE int fd = open_file(writer, part->file, error);
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
        const stretch *part = &writer->stretches[i];
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
