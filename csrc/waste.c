/* What a layer carries twice: files of which it changed nothing but owner, mode or attributes, and files of the layers below
 * that it takes away or replaces, whose bytes an image carries all the same.
 */
#include "error.h"
#include "path.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { CHUNK = 1 << 16 };

typedef struct {
    pb_tree *tree;
    int upper_fd, lower_fd;
    pb_nodes list;
    uint8_t *is_new; /* for each node of the list: whether the lower view has nothing at and below it */
    uint8_t *buffer; /* two chunks */
    uint64_t largest_copied, largest_removed;
    pb_waste *found;
} wasting;

/* 1 if two files have the same bytes; *ret as long as they are read to the end. */
static int same_bytes(wasting *work, const char *path)
{
    PB_CLOSE int upper = pb_path_open_below(work->upper_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    PB_CLOSE int lower = pb_path_open_below(work->lower_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);

    if (upper < 0 || lower < 0)
        return upper < 0 ? upper : lower;
    for (off_t at = 0;;) {
        ssize_t a = pread(upper, work->buffer, CHUNK, at), b = pread(lower, work->buffer + CHUNK, CHUNK, at);
        if (a < 0 || b < 0)
            return -errno;
        if (a != b || memcmp(work->buffer, work->buffer + CHUNK, (size_t)a))
            return 0;
        if (!a)
            return 1;
        at += a;
    }
}

static void remember(char *place, size_t size, const char *path)
{
    size_t length = strlen(path);
    if (length < size)
        memcpy(place, path, length + 1);
}

/* All that the lower view has at a path is hidden from here on. */
static int count_hidden(wasting *work, const char *path, pb_error *error)
{
    PB_CLOSE int fd = pb_path_open_below(work->lower_fd, path, O_PATH | O_NOFOLLOW);
    uint64_t entries = 1, bytes = 0, links = 0;
    struct stat lower;

    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
        return 0;
    if (fd < 0 || fstat(fd, &lower))
        return pb_fail(error, fd < 0 ? -fd : errno, "measure", "%s", path);
    if (S_ISREG(lower.st_mode))
        bytes = (uint64_t)lower.st_size;
    if (S_ISDIR(lower.st_mode)) {
        PB_CLOSE int folder = pb_path_open_below(work->lower_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        pb_tree *tree = NULL;
        int failed;
        if (folder < 0)
            return pb_fail(error, -folder, "measure", "%s", path);
        failed = pb_tree_open(folder, NULL, NULL, NULL, -1, &tree, error);
        if (!failed)
            failed = pb_tree_measure(tree, 0, NULL, &entries, &bytes, &links, error);
        pb_tree_free(tree);
        if (failed)
            return failed;
    }
    work->found->removed_entries += entries;
    work->found->removed_bytes += bytes;
    if (bytes > work->largest_removed) {
        work->largest_removed = bytes;
        remember(work->found->removed_path, sizeof work->found->removed_path, path);
    }
    return 0;
}

static int is_opaque(wasting *work, uint32_t node, pb_error *error)
{
    PB_CLOSE int fd = pb_tree_open_node(work->tree, node, O_RDONLY | O_DIRECTORY, error);
    char value[8];

    if (fd < 0)
        return fd;
    return (fgetxattr(fd, "trusted.overlay.opaque", value, sizeof value) > 0 && value[0] == 'y') ||
           (fgetxattr(fd, "user.overlay.opaque", value, sizeof value) > 0 && value[0] == 'y');
}

static int judge_file(wasting *work, const pb_node *node, const struct stat *lower, const char *path, pb_error *error)
{
    int same = 0;

    if (node->size == (uint64_t)lower->st_size) {
        same = same_bytes(work, path);
        if (same < 0)
            return pb_fail(error, -same, "compare", "%s", path);
    }
    if (!same) {
        work->found->replaced_files++;
        work->found->replaced_bytes += (uint64_t)lower->st_size;
        return 0;
    }
    work->found->copied_files++;
    work->found->copied_bytes += node->size;
    if (node->size > work->largest_copied) {
        work->largest_copied = node->size;
        remember(work->found->copied_path, sizeof work->found->copied_path, path);
    }
    return 0;
}

/* One entry; parents come first. */
static int judge(wasting *work, size_t at, size_t parent, pb_error *error)
{
    uint32_t index = work->list.items[at];
    const pb_node *node = &work->tree->nodes[index];
    PB_FREE char *path = pb_tree_path(work->tree, index);
    struct stat lower;
    int opaque = 0;

    if (!path)
        return pb_fail(error, ENOMEM, "compare", "%s", "");
    work->is_new[at] = work->is_new[parent];
    if (work->is_new[at])
        return 0;
    if (S_ISCHR(node->mode) && !node->rdev)
        return count_hidden(work, path, error);
    {
        PB_CLOSE int fd = pb_path_open_below(work->lower_fd, path, O_PATH | O_NOFOLLOW);
        if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) {
            work->is_new[at] = 1;
            return 0;
        }
        if (fd < 0 || fstat(fd, &lower))
            return pb_fail(error, fd < 0 ? -fd : errno, "compare", "%s", path);
    }
    if (S_ISDIR(node->mode)) {
        opaque = is_opaque(work, index, error);
        if (opaque < 0)
            return opaque;
        work->is_new[at] = opaque || !S_ISDIR(lower.st_mode);
        return work->is_new[at] ? count_hidden(work, path, error) : 0;
    }
    if (S_ISREG(node->mode) && S_ISREG(lower.st_mode))
        return judge_file(work, node, &lower, path, error);
    return count_hidden(work, path, error);
}

static int waste(wasting *work, pb_error *error)
{
    size_t parent = 0;
    int failed = pb_tree_open(work->upper_fd, NULL, NULL, NULL, work->upper_fd, &work->tree, error);

    if (!failed)
        failed = pb_tree_collect(work->tree, 0, NULL, &work->list, error);
    if (failed)
        return failed;
    work->is_new = calloc(work->list.count + 1, 1);
    work->buffer = malloc(2 * CHUNK);
    if (!work->is_new || !work->buffer)
        return pb_fail(error, ENOMEM, "compare", "%s", "");
    for (size_t i = 1; i < work->list.count; i++) {
        while (work->list.items[parent] != work->tree->nodes[work->list.items[i]].parent)
            parent++; /* the list has the children of its items in the order of the items */
        failed = judge(work, i, parent, error);
        if (failed)
            return failed;
    }
    return 0;
}

int pb_layer_waste(int upper_fd, int lower_fd, pb_waste *ret, pb_error *error)
{
    wasting work = {.upper_fd = upper_fd, .lower_fd = lower_fd};
    pb_waste *found = calloc(1, sizeof *found);
    int failed;

    if (!found)
        return pb_fail(error, ENOMEM, "compare", "%s", "");
    work.found = found;
    failed = waste(&work, error);
    pb_tree_free(work.tree);
    free(work.list.items);
    free(work.is_new);
    free(work.buffer);
    if (!failed)
        *ret = *found;
    free(found);
    return failed;
}
