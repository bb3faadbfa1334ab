/* Reading one directory: its names, what each stands for, and what the index knows of it. */
#include "directory.h"
#include "error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum { DENTS_SIZE = 64 * 1024 };

int pb_directory_start(pb_directory *directory, const pb_tree *tree)
{
    directory->tree = tree;
    directory->buffer = malloc(DENTS_SIZE);
    if (!directory->buffer)
        return -ENOMEM;
    return pb_hasher_new(&tree->secret, &directory->hasher);
}

void pb_directory_free(pb_directory *directory)
{
    pb_hasher_free(directory->hasher);
    free(directory->nodes);
    free(directory->names);
    free(directory->raw);
    free(directory->sorted);
    free(directory->buffer);
    free(directory->path);
    memset(directory, 0, sizeof *directory);
}

/* Make room for `more` items behind `count`, each of `size` bytes. */
static int make_room(void *items, size_t *capacity, size_t count, size_t more, size_t size)
{
    void **at = items, *moved;
    size_t wanted = count + more;

    if (wanted <= *capacity)
        return 0;
    wanted += wanted / 2 + 64;
    moved = realloc(*at, wanted * size);
    if (!moved)
        return -ENOMEM;
    *at = moved;
    *capacity = wanted;
    return 0;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static int keep_names(pb_directory *directory, long size)
{
    for (long at = 0; at < size;) {
        const struct dirent64 *entry = (const void *)(directory->buffer + at);
        const char *name = entry->d_name;
        size_t length = strlen(name) + 1;
        int failed;
        at += entry->d_reclen;
        if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
            continue;
        failed = make_room(&directory->raw, &directory->raw_capacity, directory->raw_size, length, 1);
        if (failed)
            return failed;
        memcpy(directory->raw + directory->raw_size, name, length);
        directory->raw_size += length;
        directory->count++;
    }
    return 0;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int read_names(pb_directory *directory, int fd)
{
    const char *name;
    int failed;

    directory->raw_size = 0;
    directory->count = 0;
    for (;;) {
        long size = syscall(SYS_getdents64, fd, directory->buffer, DENTS_SIZE);
        if (size < 0)
            return -errno;
        if (size == 0)
            break;
        failed = keep_names(directory, size);
        if (failed)
            return failed;
    }
    failed = make_room(&directory->sorted, &directory->sorted_capacity, 0, directory->count, sizeof *directory->sorted);
    name = directory->raw;
    for (uint32_t i = 0; !failed && i < directory->count; i++, name += strlen(name) + 1)
        directory->sorted[i] = name;
    if (!failed && directory->count)
        qsort(directory->sorted, directory->count, sizeof *directory->sorted, by_name);
    return failed;
}

/* --- nodes ------------------------------------------------------------------------------------------------------ */

/* Look one name up: 1, or 0 if it is gone since the directory was read. `earlier` goes along the index's children of the same
 * directory. */
static int add_node(pb_directory *directory, int fd, const char *name, uint32_t *earlier, uint32_t earlier_end)
{
    const pb_index *index = &directory->tree->index;
    size_t length = strlen(name) + 1;
    struct statx stat;
    pb_node *node;

    if (statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stat))
        return errno == ENOENT ? 0 : -errno;
    directory->entries++;
    if (make_room(&directory->names, &directory->names_capacity, directory->names_size, length, 1) ||
        make_room(&directory->nodes, &directory->node_capacity, directory->count, 1, sizeof *node))
        return -ENOMEM;
    node = &directory->nodes[directory->count];
    memset(node, 0, sizeof *node);
    memcpy(directory->names + directory->names_size, name, length);
    node->name = (uint32_t)directory->names_size;
    node->earlier = PB_NONE;
    pb_node_fill(node, &stat);
    while (*earlier < earlier_end) {
        int order = strcmp(index->names + index->nodes[*earlier].name, name);
        if (order > 0)
            break;
        if (order == 0)
            node->earlier = *earlier;
        (*earlier)++;
    }
    pb_node_recall(directory->tree, node);
    directory->names_size += length;
    directory->count++;
    return 1;
}

static int add_nodes(pb_directory *directory, int fd, pb_error *error)
{
    const char *const path = directory->path;
    uint32_t earlier = 0, earlier_end = 0, wanted = directory->count;

    directory->count = 0;
    directory->names_size = 0;
    if (directory->earlier != PB_NONE) {
        const pb_node *then = &directory->tree->index.nodes[directory->earlier];
        earlier = then->first_child;
        earlier_end = then->first_child + then->child_count;
    }
    for (uint32_t i = 0; i < wanted; i++) {
        const char *name = directory->sorted[i];
        int rule, added, ignored = directory->scope ? pb_scope_match(directory->scope, name, &rule) : 0;
        pb_node *child;
        if (ignored < 0)
            return pb_fail(error, -ignored, "walk", "%s", path);
        if (ignored && !pb_scope_may_keep_below(directory->scope, name))
            continue;
        added = add_node(directory, fd, name, &earlier, earlier_end);
        if (added < 0)
            return pb_fail(error, -added, "look at", "%s%s%s", path, *path ? "/" : "", name);
        child = &directory->nodes[directory->count - 1];
        if (added && ignored)
            child->flags |= S_ISDIR(child->mode) ? PB_NODE_DOUBTFUL : PB_NODE_GONE;
    }
    return 0;
}

int pb_directory_read(pb_directory *directory, pb_error *error)
{
    PB_CLOSE int fd = pb_tree_open_path(directory->tree, directory->path, O_RDONLY | O_DIRECTORY, error);
    int failed;

    directory->entries = 0;
    if (fd < 0)
        return fd;
    if (directory->wants_xattrs) {
        failed = pb_xattr_fingerprint(fd, directory->hasher, &directory->xattrs);
        if (failed)
            return pb_fail(error, -failed, "read the attributes of", "%s", directory->path);
    }
    failed = read_names(directory, fd);
    if (failed)
        return pb_fail(error, -failed, "walk", "%s", directory->path);
    return add_nodes(directory, fd, error);
}
