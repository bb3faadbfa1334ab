/* Entries of a tar from the nodes of a tree: files, folders, links, devices, and the marks of layers. */
#include "error.h"
#include "tarheader.h"
#include "tarwrite.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

enum { PIECE = 256 * 1024, SMALLEST_PIECE = 64 * 1024 };

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

int pb_tar_push_children(pb_tar_writer *writer, uint32_t node, pb_error *error)
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
    if (failed)
        return pb_fail(error, -failed, "archive", "%s", path);
    return writer->delta ? 0 : pb_tar_push_children(writer, node, error); /* of a delta all that is wanted is there */
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

int pb_tar_open_file(pb_tar_writer *writer, uint32_t node, pb_error *error)
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
    if (!S_ISREG(now.st_mode) || (uint64_t)now.st_size != from->size ||
        (writer->delta && !pb_tree_unchanged(writer->tree, node, &now)))
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
        PB_CLOSE int fd = pb_tar_open_file(writer, node, error);
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

int pb_tar_put_node(pb_tar_writer *writer, uint32_t node, size_t filled, pb_error *error)
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
                 .mtime = writer->delta && !S_ISREG(from->mode) ? 0 : seconds(writer, from->mtime),
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
