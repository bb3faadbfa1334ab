/* Times of files that nobody can tell when they were made by. */
#include "error.h"
#include "stamp.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int is_newer(const pb_node *node, int64_t newest)
{
    int is_whiteout = S_ISCHR(node->mode) && node->rdev == 0;
    return node->mtime > newest && !is_whiteout;
}

/* Setting an entry's times leaves those of its folder alone: the order does not matter. */
static int clamp_folder(pb_tree *tree, uint32_t folder, const struct timespec times[2], int64_t newest, pb_error *error)
{
    PB_CLOSE int fd = -1;
    const pb_node *node = &tree->nodes[folder];

    for (uint32_t i = node->first_child; i < node->first_child + node->child_count; i++) {
        if (!is_newer(&tree->nodes[i], newest))
            continue;
        if (fd < 0)
            fd = pb_tree_open_node(tree, folder, O_RDONLY | O_DIRECTORY, error);
        if (fd < 0)
            return fd;
        if (utimensat(fd, pb_tree_name(tree, i), times, AT_SYMLINK_NOFOLLOW))
            return pb_fail(error, errno, "set the times of", "%s", pb_tree_name(tree, i));
    }
    return 0;
}

int pb_clamp_times(int dir_fd, int64_t newest, pb_error *error)
{
    struct timespec times[2];
    PB_NODES pb_nodes list = {0};
    pb_tree *tree = NULL;
    int failed;

    if (newest < 0)
        return pb_fail_detail(error, EINVAL, "set times", "", "times before 1970");
    pb_stamp(newest, times);
    failed = pb_tree_open(dir_fd, NULL, NULL, NULL, dir_fd, &tree, error);
    if (!failed)
        failed = pb_tree_collect(tree, 0, NULL, &list, error);
    for (size_t i = 0; !failed && i < list.count; i++)
        if (S_ISDIR(tree->nodes[list.items[i]].mode))
            failed = clamp_folder(tree, list.items[i], times, newest, error);
    if (!failed && list.count && is_newer(&tree->nodes[0], newest) && futimens(dir_fd, times))
        failed = pb_fail(error, errno, "set the times of", "%s", ".");
    pb_tree_free(tree);
    return failed;
}
