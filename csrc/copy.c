/* Copying from trees into a root file system, with the rules of COPY.
 *
 * Directories are worked through one after the other, each opened by its path from the top, so that depth costs no
 * descriptors. Of a file the order is: data, owner, mode (a change of owner clears set-id bits), attributes (a change of
 * owner clears capabilities), times. Times of directories come last of all.
 */
#include "copyfile.h"
#include "error.h"
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int pb_copier_new(int dest_root_fd, const pb_copy_options *options, pb_copier **ret, pb_error *error)
{
    pb_copier *copier = calloc(1, sizeof *copier);

    if (!copier)
        return pb_fail(error, ENOMEM, "copy", "%s", "");
    copier->root_fd = fcntl(dest_root_fd, F_DUPFD_CLOEXEC, 3);
    copier->options = *options;
    copier->buffer = malloc(PB_COPY_BUFFER);
    copier->symbolic = options->symbolic_mode ? strdup(options->symbolic_mode) : NULL;
    copier->options.symbolic_mode = copier->symbolic;
    copier->missing = (pb_owner_mode){options->parent_mode >= 0 ? (uint32_t)options->parent_mode : 0755,
                                      (uint32_t)options->parent_uid, (uint32_t)options->parent_gid};
    if (copier->root_fd < 0 || !copier->buffer || (options->symbolic_mode && !copier->symbolic)) {
        pb_copier_free(copier);
        return pb_fail(error, ENOMEM, "copy", "%s", "");
    }
    *ret = copier;
    return 0;
}

void pb_copier_free(pb_copier *copier)
{
    if (!copier)
        return;
    if (copier->root_fd >= 0)
        close(copier->root_fd);
    for (size_t i = 0; i < copier->top_count; i++)
        close(copier->tops[i]);
    pb_linkmap_free(&copier->links);
    pb_linkmap_free(&copier->taken);
    free(copier->tops);
    free(copier->buffer);
    free(copier->symbolic);
    free(copier);
}

/* Keep a folder that files were copied into, for hard links to them. */
static int keep_top(pb_copier *copier, int fd)
{
    int *tops = realloc(copier->tops, (copier->top_count + 1) * sizeof *tops);
    if (!tops)
        return -ENOMEM;
    copier->tops = tops;
    tops[copier->top_count] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (tops[copier->top_count] < 0)
        return -errno;
    copier->top_count++;
    return 0;
}

/* Make a directory of the destination, or take the one that is there; its metadata are the source's then too. */
static int copy_folder(pb_copier *copier, pb_tree *tree, uint32_t node, int parent_fd, const char *name, pb_error *error)
{
    PB_CLOSE int fd = -1;
    struct stat now;
    int failed;

    if (mkdirat(parent_fd, name, 0700) && errno != EEXIST)
        return pb_fail(error, errno, "make directory", "%s", name);
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return pb_fail_detail(error, ENOTDIR, "copy", name, "the destination has something else there than a directory");
    if (fd < 0)
        return pb_fail(error, errno, "open", "%s", name);
    copier->result.directories++;
    failed = fstat(fd, &now) ? pb_fail(error, errno, "stat", "%s", name)
                             : pb_copy_attributes(copier, tree, node, -1, fd, &now, error);
    return failed < 0 ? failed : 0;
}

int pb_copy_times(const pb_tree *tree, const pb_nodes *folders, int top_fd, int64_t time, pb_error *error)
{
    for (size_t i = folders->count; i-- > 1;) {
        uint32_t node = folders->items[i];
        PB_FREE char *path = pb_tree_path_below(tree, folders->items[0], node);
        PB_CLOSE int fd = path ? pb_path_open_below(top_fd, path, O_RDONLY | O_DIRECTORY) : -ENOMEM;
        int failed = fd < 0 ? fd : pb_set_times(fd, time >= 0 ? time : tree->nodes[node].mtime);
        if (failed)
            return pb_fail(error, -failed, "set the times of", "%s", path ? path : "");
    }
    return 0;
}

/* Copy what is in one directory of the tree into the directory of the same path below top_fd. */
static int copy_contents(pb_copier *copier, pb_tree *tree, uint32_t top, uint32_t node, int top_fd, const pb_ignore *exclude,
                         pb_nodes *folders, pb_error *error)
{
    PB_FREE char *path = pb_tree_path_below(tree, top, node);
    PB_CLOSE int source = -1, dest = -1;
    int failed = pb_tree_read(tree, node, error);

    if (failed)
        return failed;
    if (!path)
        return pb_fail(error, ENOMEM, "copy", "%s", "");
    source = pb_tree_open_node(tree, node, O_RDONLY | O_DIRECTORY, error);
    if (source < 0)
        return source;
    dest = pb_path_open_below(top_fd, path, O_RDONLY | O_DIRECTORY);
    if (dest < 0)
        return pb_fail(error, -dest, "open", "%s", path);
    for (uint32_t i = 0; !failed && i < tree->nodes[node].child_count; i++) {
        uint32_t child = tree->nodes[node].first_child + i;
        const char *name;
        int excluded;
        if (tree->nodes[child].flags & PB_NODE_GONE)
            continue;
        failed = pb_tree_excluded(tree, top, child, exclude, &excluded);
        if (failed)
            return pb_fail(error, -failed, "copy", "%s", path);
        if (excluded)
            continue;
        name = pb_tree_name(tree, child);
        if (!S_ISDIR(tree->nodes[child].mode)) {
            pb_place place = {dest, name, copier->top_count - 1, path};
            failed = pb_copy_entry(copier, tree, child, source, &place, error);
            continue;
        }
        failed = copy_folder(copier, tree, child, dest, name, error);
        if (!failed && pb_nodes_add(folders, child))
            failed = pb_fail(error, ENOMEM, "copy", "%s", path);
    }
    return failed;
}

/* Merge a directory's contents into an open one. */
static int merge_folder(pb_copier *copier, pb_tree *tree, uint32_t node, int dest, const pb_ignore *exclude,
                        pb_error *error)
{
    PB_NODES pb_nodes folders = {0};
    int failed = keep_top(copier, dest);

    if (!failed)
        failed = pb_nodes_add(&folders, node);
    if (failed)
        return pb_fail(error, -failed, "copy", "%s", pb_tree_name(tree, node));
    for (size_t i = 0; !failed && i < folders.count; i++)
        failed = copy_contents(copier, tree, node, folders.items[i], dest, exclude, &folders, error);
    if (!failed && (copier->options.keep_directory_times || copier->options.time >= 0))
        failed = pb_copy_times(tree, &folders, dest, copier->options.time, error);
    return failed;
}

/* Where a file goes: the folder that is there or is asked for, under `base`; else the path itself. */
static int find_place(pb_copier *copier, const char *destination, const char *base, int *ret_fd, char **ret_name)
{
    size_t length = strlen(destination);
    int into = length && destination[length - 1] == '/';
    int fd;

    fd = into ? pb_path_make(copier->root_fd, destination, &copier->missing)
              : pb_path_open(copier->root_fd, destination, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0) {
        *ret_fd = fd;
        *ret_name = strdup(base);
        return *ret_name ? 0 : -ENOMEM;
    }
    if (into || (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP))
        return fd;
    return pb_path_parent(copier->root_fd, destination, &copier->missing, ret_fd, ret_name);
}

int pb_copier_add(pb_copier *copier, pb_tree *tree, uint32_t node, const char *destination, const char *base,
                  const pb_ignore *exclude, pb_error *error)
{
    PB_CLOSE int dest = -1, source = -1;
    PB_FREE char *name = NULL;
    int failed, excluded;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "copy", "node %u", node);
    if (copier->options.separate_links) {
        pb_linkmap_free(&copier->links);
        memset(&copier->links, 0, sizeof copier->links);
    }
    failed = pb_tree_excluded(tree, node, node, exclude, &excluded);
    if (failed || excluded)
        return failed ? pb_fail(error, -failed, "copy", "%s", destination) : 0;
    if (S_ISDIR(tree->nodes[node].mode)) {
        dest = pb_path_make(copier->root_fd, destination, &copier->missing);
        if (dest == -ENOTDIR || dest == -ELOOP)
            return pb_fail_detail(error, -dest, "copy", destination, "the destination is not a directory");
        if (dest < 0)
            return pb_fail(error, -dest, "open", "%s", destination);
        return merge_folder(copier, tree, node, dest, exclude, error);
    }
    failed = find_place(copier, destination, base ? base : pb_tree_name(tree, node), &dest, &name);
    if (failed == -ENOTDIR)
        return pb_fail_detail(error, ENOTDIR, "copy", destination, "the destination is not a directory");
    if (!failed)
        failed = keep_top(copier, dest);
    if (failed)
        return pb_fail(error, -failed, "copy", "%s", destination);
    source = pb_tree_open_node(tree, tree->nodes[node].parent, O_RDONLY | O_DIRECTORY, error);
    if (source < 0)
        return source;
    {
        pb_place place = {dest, name, copier->top_count - 1, ""};
        return pb_copy_entry(copier, tree, node, source, &place, error);
    }
}

int pb_copier_add_folder(pb_copier *copier, pb_tree *tree, uint32_t node, const char *destination, int itself,
                         pb_error *error)
{
    PB_CLOSE int parent = -1, there = -1;
    PB_FREE char *name = NULL;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "copy", "node %u", node);
    failed = pb_path_parent(copier->root_fd, destination, &copier->missing, &parent, &name);
    if (failed)
        return pb_fail(error, -failed, "make directory", "%s", destination);
    if (!strcmp(name, "."))
        return 0;
    if (!itself)
        there = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (there < 0)
        return copy_folder(copier, tree, node, parent, name, error);
    return fchmod(there, tree->nodes[node].mode & 07777) ? pb_fail(error, errno, "set the mode of", "%s", destination) : 0;
}

int pb_copier_add_bytes(pb_copier *copier, const uint8_t *data, size_t size, const char *destination, const char *base,
                        uint32_t mode, pb_error *error)
{
    PB_CLOSE int dest = -1;
    PB_FREE char *name = NULL;
    int failed = find_place(copier, destination, base, &dest, &name);

    if (failed == -ENOTDIR)
        return pb_fail_detail(error, ENOTDIR, "copy", destination, "the destination is not a directory");
    if (failed)
        return pb_fail(error, -failed, "copy", "%s", destination);
    return pb_copy_bytes(copier, data, size, dest, name, mode, error);
}

int pb_copier_finish(pb_copier *copier, pb_copy_result *ret, pb_error *error)
{
    (void)error;
    *ret = copier->result;
    return 0;
}

int pb_copy_rootfs(int source_fd, int dest_fd, int keep_owner, pb_copy_result *ret, pb_error *error)
{
    pb_copy_options options = {.uid = -1, .gid = -1, .mode = -1, .parent_mode = -1, .keep_directory_times = 1, .time = -1};
    pb_copier *copier = NULL;
    pb_tree *tree = NULL;
    int failed;

    if (!keep_owner) {
        options.uid = geteuid();
        options.gid = getegid();
    }
    failed = pb_tree_open(source_fd, NULL, NULL, NULL, dest_fd, &tree, error);
    if (!failed)
        failed = pb_copier_new(dest_fd, &options, &copier, error);
    if (!failed)
        failed = pb_copier_add(copier, tree, 0, "/", NULL, NULL, error);
    if (!failed)
        failed = pb_copier_finish(copier, ret, error);
    pb_copier_free(copier);
    pb_tree_free(tree);
    return failed;
}
