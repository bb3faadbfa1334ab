/* Trees: folders read lazily, each at most once, relative to descriptors and never through links. */
#include "tree.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>

enum { DENTS_SIZE = 64 * 1024, LONGEST = 4000 };

static int64_t nanoseconds(int64_t seconds, uint32_t rest)
{
    return seconds * 1000000000 + rest;
}

int pb_nodes_add(pb_nodes *list, uint32_t node)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        uint32_t *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = node;
    return 0;
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

int pb_tree_open_node(const pb_tree *tree, uint32_t node, int flags, pb_error *error)
{
    PB_FREE char *path = pb_tree_path(tree, node);
    PB_CLOSE int held = -1;
    int from = tree->root_fd;
    char *at = path;

    if (!path)
        return pb_fail(error, ENOMEM, "open", "%s", "");
    while (strlen(at) > LONGEST) { /* longer than the kernel takes: go down in pieces */
        char *cut = at + LONGEST;
        int fd;
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
    {
        int fd = open_beneath(from, at, flags);
        return fd < 0 ? pb_fail(error, errno, "open", "%s", path) : fd;
    }
}

/* --- nodes ------------------------------------------------------------------------------------------------- */

static int reserve(pb_tree *tree, uint32_t nodes, size_t names)
{
    if (tree->count + (uint64_t)nodes >= PB_NONE)
        return -EFBIG;
    if (tree->count + nodes > tree->capacity) {
        uint64_t capacity = tree->capacity + tree->capacity / 2 + 64;
        pb_node *moved;
        if (capacity < tree->count + (uint64_t)nodes)
            capacity = tree->count + (uint64_t)nodes;
        moved = realloc(tree->nodes, capacity * sizeof *moved);
        if (!moved)
            return -ENOMEM;
        tree->nodes = moved;
        tree->capacity = (uint32_t)(capacity < PB_NONE ? capacity : PB_NONE);
    }
    if (tree->names_size + names > tree->names_capacity) {
        size_t capacity = tree->names_capacity + tree->names_capacity / 2 + 4096;
        char *moved;
        if (capacity < tree->names_size + names)
            capacity = tree->names_size + names;
        if (capacity > UINT32_MAX)
            return -EFBIG;
        moved = realloc(tree->names, capacity);
        if (!moved)
            return -ENOMEM;
        tree->names = moved;
        tree->names_capacity = capacity;
    }
    return 0;
}

static void fill(pb_node *node, const struct statx *stat)
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

/* Take over from the index what is still true: hashes, if not a single number of the stat data has changed. */
static void recall(pb_tree *tree, pb_node *node)
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

/* --- reading directories ------------------------------------------------------------------------------------ */

typedef struct {
    char *bytes; /* names one after the other, each ended by NUL */
    size_t size, capacity;
    uint32_t count;
} name_list;

static int read_names(int fd, name_list *list)
{
    PB_FREE char *buffer = malloc(DENTS_SIZE);
    if (!buffer)
        return -ENOMEM;
    for (;;) {
        long count = syscall(SYS_getdents64, fd, buffer, DENTS_SIZE);
        if (count < 0)
            return -errno;
        if (count == 0)
            return 0;
        for (long at = 0; at < count;) {
            const struct dirent64 *entry = (const void *)(buffer + at);
            size_t length = strlen(entry->d_name) + 1;
            at += entry->d_reclen;
            if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                continue;
            if (list->size + length > list->capacity) {
                size_t capacity = list->capacity * 2 + DENTS_SIZE;
                char *bytes = realloc(list->bytes, capacity);
                if (!bytes)
                    return -ENOMEM;
                list->bytes = bytes;
                list->capacity = capacity;
            }
            memcpy(list->bytes + list->size, entry->d_name, length);
            list->size += length;
            list->count++;
        }
    }
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Look one name up and append its node. `earlier` goes along the index's children of the same directory. */
static int append_child(pb_tree *tree, uint32_t parent, int dir_fd, const char *name, uint32_t flags, uint32_t *earlier,
                        uint32_t earlier_end)
{
    size_t length = strlen(name) + 1;
    struct statx stat;
    pb_node *node;
    int failed;

    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stat))
        return errno == ENOENT ? 0 : -errno; /* removed since the directory was read */
    tree->stats.entries++;
    failed = reserve(tree, 1, length);
    if (failed)
        return failed;
    node = &tree->nodes[tree->count];
    memset(node, 0, sizeof *node);
    memcpy(tree->names + tree->names_size, name, length);
    node->name = (uint32_t)tree->names_size;
    node->parent = parent;
    node->earlier = PB_NONE;
    node->flags = flags;
    fill(node, &stat);
    while (*earlier < earlier_end) {
        int order = strcmp(tree->index.names + tree->index.nodes[*earlier].name, name);
        if (order > 0)
            break;
        if (order == 0)
            node->earlier = *earlier;
        (*earlier)++;
    }
    recall(tree, node);
    tree->names_size += length;
    tree->count++;
    return 1;
}

/* Folders that rules leave out, but whose contents an exception may bring back: they stay only if something came back. */
static int drop_empty(pb_tree *tree, uint32_t first, uint32_t end, const uint8_t *doubtful, pb_error *error)
{
    for (uint32_t node = first; node < end; node++) {
        uint32_t kept = 0;
        int failed;
        if (!doubtful[node - first])
            continue;
        failed = pb_tree_read(tree, node, error);
        if (failed)
            return failed;
        for (uint32_t i = 0; i < tree->nodes[node].child_count; i++)
            kept += !(tree->nodes[tree->nodes[node].first_child + i].flags & PB_NODE_GONE);
        if (!kept)
            tree->nodes[node].flags |= PB_NODE_GONE;
    }
    return 0;
}

static int read_directory(pb_tree *tree, uint32_t node, int fd, const char *path, name_list *list, pb_error *error)
{
    PB_FREE const char **sorted = calloc((size_t)list->count + 1, sizeof *sorted);
    PB_FREE uint8_t *doubtful = calloc((size_t)list->count + 1, 1);
    PB_FREE char *full = NULL;
    size_t above = strlen(path);
    uint32_t earlier = 0, earlier_end = 0, first = tree->count, index = 0;
    int any_doubtful = 0;

    if (!sorted || !doubtful)
        return pb_fail(error, ENOMEM, "walk", "%s", path);
    for (const char *name = list->bytes; index < list->count; name += strlen(name) + 1)
        sorted[index++] = name;
    qsort(sorted, list->count, sizeof *sorted, by_name);
    if (tree->nodes[node].earlier != PB_NONE) {
        const pb_node *then = &tree->index.nodes[tree->nodes[node].earlier];
        earlier = then->first_child;
        earlier_end = then->first_child + then->child_count;
    }
    if (tree->ignore) {
        full = malloc(above + 2 + 256);
        if (!full)
            return pb_fail(error, ENOMEM, "walk", "%s", path);
        sprintf(full, "%s%s", path, above ? "/" : "");
    }
    for (uint32_t i = 0; i < list->count; i++) {
        int ignored = 0, added;
        if (tree->ignore) {
            snprintf(full + above + !!above, 256, "%s", sorted[i]);
            ignored = pb_ignore_match(tree->ignore, full, NULL);
            if (ignored && !pb_ignore_may_keep_below(tree->ignore, full))
                continue;
        }
        added = append_child(tree, node, fd, sorted[i], 0, &earlier, earlier_end);
        if (added < 0)
            return pb_fail(error, -added, "stat", "%s%s%s", path, above ? "/" : "", sorted[i]);
        if (!added || !ignored)
            continue;
        if (S_ISDIR(tree->nodes[tree->count - 1].mode))
            any_doubtful = doubtful[tree->count - 1 - first] = 1;
        else
            tree->nodes[tree->count - 1].flags |= PB_NODE_GONE;
    }
    tree->nodes[node].first_child = first;
    tree->nodes[node].child_count = tree->count - first;
    tree->nodes[node].flags |= PB_NODE_READ;
    return any_doubtful ? drop_empty(tree, first, tree->count, doubtful, error) : 0;
}

int pb_tree_read(pb_tree *tree, uint32_t node, pb_error *error)
{
    PB_FREE char *path = NULL;
    PB_CLOSE int fd = -1;
    name_list list = {0};
    int failed;

    if (tree->nodes[node].flags & PB_NODE_READ)
        return 0;
    if (!S_ISDIR(tree->nodes[node].mode))
        return 0;
    path = pb_tree_path(tree, node);
    if (!path)
        return pb_fail(error, ENOMEM, "walk", "%s", "");
    fd = pb_tree_open_node(tree, node, O_RDONLY | O_DIRECTORY, error);
    if (fd < 0)
        return fd;
    tree->stats.directories++;
    if (!(tree->nodes[node].flags & PB_NODE_XATTRS)) {
        pb_fingerprint xattrs;
        failed = pb_xattr_fingerprint(fd, tree->hasher, &xattrs);
        if (failed)
            return pb_fail(error, -failed, "read the attributes of", "%s", path);
        tree->nodes[node].xattrs = xattrs;
        tree->nodes[node].flags |= PB_NODE_XATTRS;
    }
    failed = read_names(fd, &list);
    if (failed)
        failed = pb_fail(error, -failed, "walk", "%s", path);
    else
        failed = read_directory(tree, node, fd, path, &list, error);
    free(list.bytes);
    return failed;
}

int pb_tree_excluded(const pb_tree *tree, uint32_t top, uint32_t node, const pb_ignore *exclude, int *result)
{
    *result = 0;
    if (!exclude)
        return 0;
    if (node == top) {
        if (!S_ISDIR(tree->nodes[node].mode))
            *result = pb_ignore_match(exclude, pb_tree_name(tree, node), NULL);
        return 0;
    }
    {
        PB_FREE char *path = pb_tree_path_below(tree, top, node);
        if (!path)
            return -ENOMEM;
        *result = pb_ignore_match(exclude, path, NULL);
        if (*result && S_ISDIR(tree->nodes[node].mode) && pb_ignore_may_keep_below(exclude, path))
            *result = 0;
    }
    return 0;
}

int pb_tree_collect(pb_tree *tree, uint32_t top, const pb_ignore *exclude, pb_nodes *ret, pb_error *error)
{
    size_t first = ret->count;
    int excluded, failed = pb_tree_excluded(tree, top, top, exclude, &excluded);

    if (!failed && !excluded)
        failed = pb_nodes_add(ret, top);
    for (size_t i = first; !failed && i < ret->count; i++) {
        uint32_t node = ret->items[i];
        failed = pb_tree_read(tree, node, error);
        if (failed)
            return failed;
        for (uint32_t k = 0; !failed && k < tree->nodes[node].child_count; k++) {
            uint32_t child = tree->nodes[node].first_child + k;
            if (tree->nodes[child].flags & PB_NODE_GONE)
                continue;
            failed = pb_tree_excluded(tree, top, child, exclude, &excluded);
            if (!failed && !excluded)
                failed = pb_nodes_add(ret, child);
        }
    }
    return failed ? pb_fail(error, -failed, "walk", "%s", pb_tree_name(tree, top)) : 0;
}

/* --- opening ------------------------------------------------------------------------------------------------ */

void pb_tree_free(pb_tree *tree)
{
    if (!tree)
        return;
    if (tree->root_fd >= 0)
        close(tree->root_fd);
    pb_index_close(&tree->index);
    pb_hasher_free(tree->hasher);
    free(tree->secret_data);
    free(tree->nodes);
    free(tree->names);
    free(tree);
}

static int open_root(pb_tree *tree, int root_fd, const pb_secret *secret, const char *index)
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
    if (tree->root_fd < 0 || clock_gettime(CLOCK_REALTIME, &now) ||
        statx(tree->root_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat))
        return -errno;
    tree->opened = nanoseconds(now.tv_sec, (uint32_t)now.tv_nsec);
    if (index)
        pb_index_load(index, &tree->secret, &tree->index);
    failed = reserve(tree, 1024, 16384);
    if (failed)
        return failed;
    memset(tree->nodes, 0, sizeof *tree->nodes);
    tree->names[0] = '\0';
    tree->names_size = 1;
    tree->count = 1;
    tree->nodes[0].earlier = tree->index.count ? 0 : PB_NONE;
    fill(&tree->nodes[0], &stat);
    recall(tree, &tree->nodes[0]);
    return 0;
}

int pb_tree_open(int root_fd, const pb_ignore *ignore, const pb_secret *secret, const char *index, pb_tree **ret,
                 pb_error *error)
{
    pb_tree *tree = calloc(1, sizeof *tree);
    int failed;

    if (!tree)
        return pb_fail(error, ENOMEM, "open tree", "%s", "");
    tree->root_fd = -1;
    tree->ignore = ignore;
    failed = open_root(tree, root_fd, secret, index);
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
    ret->kind = S_ISDIR(from->mode)    ? 'd'
                : S_ISREG(from->mode)  ? 'f'
                : S_ISLNK(from->mode)  ? 'l'
                : S_ISCHR(from->mode)  ? 'c'
                : S_ISBLK(from->mode)  ? 'b'
                : S_ISFIFO(from->mode) ? 'p'
                                       : 's';
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
