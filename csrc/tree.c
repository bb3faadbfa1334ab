/* Trees: their nodes and paths, and opening what a node stands for, relative to descriptors and never through links. */
#include "tree.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>

enum { LONGEST = 4000 }; /* bytes of a path that the kernel takes at once */

/* Times that do not fit (some file systems take any number) are the first or last that does: the stat data still differ
 * with every change, as a ctime is always now. */
static int64_t nanoseconds(int64_t seconds, uint32_t rest)
{
    int64_t result;
    if (__builtin_mul_overflow(seconds, INT64_C(1000000000), &result) || __builtin_add_overflow(result, rest, &result))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return result;
}

/* --- paths ----------------------------------------------------------------------------------------------- */

char *pb_tree_path_below(const pb_tree *tree, uint32_t top, uint32_t node)
{
    size_t length = 0;
    char *path, *at;

    for (uint32_t up = node; up != top; up = tree->nodes[up].parent)
        length += strlen(pb_tree_name(tree, up)) + 1;
    path = malloc(length + 1);
    if (!path)
        return NULL;
    at = path + (length ? length - 1 : 0);
    *at = '\0';
    for (uint32_t up = node; up != top; up = tree->nodes[up].parent) {
        const char *name = pb_tree_name(tree, up);
        size_t size = strlen(name);
        at -= size;
        memcpy(at, name, size);
        if (at > path)
            *--at = '/';
    }
    return path;
}

char *pb_tree_path(const pb_tree *tree, uint32_t node)
{
    return pb_tree_path_below(tree, 0, node);
}

static int open_beneath(int dir_fd, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd;
    do
        fd = syscall(SYS_openat2, dir_fd, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return (int)fd;
}

int pb_tree_open_path(const pb_tree *tree, char *path, int flags, pb_error *error)
{
    PB_CLOSE int held = -1;
    int fd, from = tree->root_fd;
    char *at = path;

    while (strlen(at) > LONGEST) { /* longer than the kernel takes: go down in pieces */
        char *cut = at + LONGEST;
        while (*cut != '/')
            cut--;
        *cut = '\0';
        fd = open_beneath(from, at, O_PATH | O_DIRECTORY);
        *cut = '/';
        if (fd < 0)
            return pb_fail(error, errno, "open", "%s", path);
        if (held >= 0)
            close(held);
        held = from = fd;
        at = cut + 1;
    }
    fd = open_beneath(from, at, flags);
    return fd < 0 ? pb_fail(error, errno, "open", "%s", path) : fd;
}

int pb_tree_open_node(const pb_tree *tree, uint32_t node, int flags, pb_error *error)
{
    PB_FREE char *path = pb_tree_path(tree, node);
    return path ? pb_tree_open_path(tree, path, flags, error) : pb_fail(error, ENOMEM, "open", "%s", "");
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

int pb_tree_reserve(pb_tree *tree, uint32_t nodes, size_t names)
{
    int failed;

    if (tree->count + (uint64_t)nodes >= PB_NONE)
        return -EFBIG;
    if (tree->names_size + names > UINT32_MAX)
        return -EFBIG;
    failed = pb_spill_grow(&tree->node_room, ((size_t)tree->count + nodes) * sizeof *tree->nodes, tree->spare_fd);
    if (!failed)
        failed = pb_spill_grow(&tree->name_room, tree->names_size + names, tree->spare_fd);
    tree->nodes = tree->node_room.data;
    tree->names = tree->name_room.data;
    return failed;
}

void pb_tree_rest(const pb_tree *tree)
{
    pb_spill_rest(&tree->node_room);
    pb_spill_rest(&tree->name_room);
    pb_index_rest(&tree->index);
}

void pb_node_fill(pb_node *node, const struct statx *stat)
{
    node->mode = stat->stx_mode;
    node->uid = stat->stx_uid;
    node->gid = stat->stx_gid;
    node->nlink = stat->stx_nlink;
    node->size = S_ISREG(stat->stx_mode) || S_ISLNK(stat->stx_mode) ? stat->stx_size : 0;
    node->inode = stat->stx_ino;
    node->device = makedev(stat->stx_dev_major, stat->stx_dev_minor);
    node->rdev = makedev(stat->stx_rdev_major, stat->stx_rdev_minor);
    node->mtime = nanoseconds(stat->stx_mtime.tv_sec, stat->stx_mtime.tv_nsec);
    node->ctime = nanoseconds(stat->stx_ctime.tv_sec, stat->stx_ctime.tv_nsec);
}

int pb_tree_unchanged(const pb_tree *tree, uint32_t node, const struct stat *now)
{
    const pb_node *then = &tree->nodes[node];
    return then->inode == now->st_ino && then->device == now->st_dev && then->mode == now->st_mode &&
           then->uid == now->st_uid && then->gid == now->st_gid &&
           (!S_ISREG(now->st_mode) || then->size == (uint64_t)now->st_size) &&
           then->mtime == nanoseconds(now->st_mtim.tv_sec, (uint32_t)now->st_mtim.tv_nsec) &&
           then->ctime == nanoseconds(now->st_ctim.tv_sec, (uint32_t)now->st_ctim.tv_nsec);
}

void pb_node_recall(const pb_tree *tree, pb_node *node)
{
    const pb_node *then;
    if (node->earlier == PB_NONE)
        return;
    then = &tree->index.nodes[node->earlier];
    if (then->inode != node->inode || then->device != node->device || then->mode != node->mode ||
        then->uid != node->uid || then->gid != node->gid || then->size != node->size || then->mtime != node->mtime ||
        then->ctime != node->ctime)
        return;
    node->flags |= then->flags & (PB_NODE_CONTENT | PB_NODE_XATTRS);
    node->content = then->content;
    node->xattrs = then->xattrs;
}

/* --- opening ------------------------------------------------------------------------------------------------ */

void pb_tree_free(pb_tree *tree)
{
    if (!tree)
        return;
    if (tree->root_fd >= 0)
        close(tree->root_fd);
    pb_index_close(&tree->index);
    pb_reader_free(tree->reader);
    pb_hasher_free(tree->hasher);
    free(tree->secret_data);
    pb_spill_free(&tree->node_room);
    pb_spill_free(&tree->name_room);
    if (tree->spare_fd >= 0)
        close(tree->spare_fd);
    free(tree);
}

static int open_root(pb_tree *tree, int root_fd, const pb_secret *secret, const char *index, int spare_fd)
{
    struct timespec now;
    struct statx stat;
    int failed;

    if (secret && secret->size) {
        tree->secret_data = malloc(secret->size);
        if (!tree->secret_data)
            return -ENOMEM;
        memcpy(tree->secret_data, secret->data, secret->size);
        tree->secret = (pb_secret){tree->secret_data, secret->size};
    }
    failed = pb_hasher_new(&tree->secret, &tree->hasher);
    if (failed)
        return failed;
    tree->root_fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
    if (spare_fd >= 0)
        tree->spare_fd = fcntl(spare_fd, F_DUPFD_CLOEXEC, 3);
    if (tree->root_fd < 0 || (spare_fd >= 0 && tree->spare_fd < 0) || clock_gettime(CLOCK_REALTIME, &now) ||
        statx(tree->root_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat))
        return -errno;
    tree->opened = nanoseconds(now.tv_sec, (uint32_t)now.tv_nsec);
    if (index)
        pb_index_load(index, &tree->secret, &tree->index);
    failed = pb_tree_reserve(tree, 1024, 16384);
    if (failed)
        return failed;
    memset(tree->nodes, 0, sizeof *tree->nodes);
    tree->names[0] = '\0';
    tree->names_size = 1;
    tree->count = 1;
    tree->nodes[0].earlier = tree->index.count ? 0 : PB_NONE;
    pb_node_fill(&tree->nodes[0], &stat);
    pb_node_recall(tree, &tree->nodes[0]);
    return 0;
}

int pb_tree_open(int root_fd, const pb_ignore *ignore, const pb_secret *secret, const char *index, int spare_fd,
                 pb_tree **ret, pb_error *error)
{
    pb_tree *tree = calloc(1, sizeof *tree);
    int failed;

    if (!tree)
        return pb_fail(error, ENOMEM, "open tree", "%s", "");
    tree->root_fd = tree->spare_fd = -1;
    tree->ignore = ignore;
    failed = open_root(tree, root_fd, secret, index, spare_fd);
    if (failed) {
        pb_tree_free(tree);
        return pb_fail(error, -failed, "open tree", "%s", "");
    }
    *ret = tree;
    return 0;
}

void pb_tree_get_stats(const pb_tree *tree, pb_tree_stats *ret)
{
    *ret = tree->stats;
}

char pb_tree_kind(const pb_node *node)
{
    return S_ISDIR(node->mode)    ? 'd'
           : S_ISREG(node->mode)  ? 'f'
           : S_ISLNK(node->mode)  ? 'l'
           : S_ISCHR(node->mode)  ? 'c'
           : S_ISBLK(node->mode)  ? 'b'
           : S_ISFIFO(node->mode) ? 'p'
                                  : 's';
}

int pb_tree_entry(pb_tree *tree, uint32_t node, pb_entry *ret, char *path, size_t path_size, pb_error *error)
{
    const pb_node *from;
    PB_FREE char *full = NULL;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "look at", "node %u", node);
    from = &tree->nodes[node];
    full = pb_tree_path(tree, node);
    if (!full)
        return pb_fail(error, ENOMEM, "look at", "%s", "");
    if (strlen(full) >= path_size)
        return pb_fail(error, ENAMETOOLONG, "look at", "%s", full);
    memcpy(path, full, strlen(full) + 1);
    memset(ret, 0, sizeof *ret);
    ret->kind = pb_tree_kind(from);
    ret->mode = from->mode & 07777;
    ret->uid = from->uid;
    ret->gid = from->gid;
    ret->nlink = from->nlink;
    ret->size = from->size;
    ret->mtime = from->mtime;
    ret->ctime = from->ctime;
    ret->device = from->device;
    ret->inode = from->inode;
    ret->rdev = from->rdev;
    return 0;
}
