/* Finding a node by its path, as a process whose root is the tree would. */
#include "error.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LINKS = 40 };

/* The child of a directory by name; PB_NONE if there is none. */
static uint32_t find_child(const pb_tree *tree, uint32_t node, const char *name)
{
    uint32_t low = tree->nodes[node].first_child, high = low + tree->nodes[node].child_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = strcmp(pb_tree_name(tree, middle), name);
        if (order == 0)
            return tree->nodes[middle].flags & PB_NODE_GONE ? PB_NONE : middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return PB_NONE;
}

/* Put a link's target in front of the rest of a path; the result is malloc'ed. */
static int splice_link(const pb_tree *tree, uint32_t node, const char *rest, char **ret, pb_error *error)
{
    char target[4097];
    PB_CLOSE int fd = pb_tree_open_node(tree, node, O_PATH | O_NOFOLLOW, error);
    ssize_t length;

    if (fd < 0)
        return fd;
    length = readlinkat(fd, "", target, sizeof target - 1);
    if (length < 0)
        return pb_fail(error, errno, "read link", "%s", pb_tree_name(tree, node));
    target[length] = '\0';
    if (asprintf(ret, "%s/%s", target, rest) < 0)
        return pb_fail(error, ENOMEM, "find", "%s", rest);
    return 0;
}

int pb_tree_find(pb_tree *tree, const char *path, int follow, uint32_t *ret, pb_error *error)
{
    PB_FREE char *held = strdup(path);
    char *at = held;
    uint32_t node = 0;
    int links = 0;

    if (!held)
        return pb_fail(error, ENOMEM, "find", "%s", path);
    for (;;) {
        char *name, *end;
        uint32_t child;
        int failed;
        while (*at == '/')
            at++;
        if (!*at)
            break;
        name = at;
        end = strchrnul(at, '/');
        at = *end ? end + 1 : end;
        *end = '\0';
        if (!S_ISDIR(tree->nodes[node].mode))
            return pb_fail(error, ENOTDIR, "find", "%s", path);
        if (!strcmp(name, "."))
            continue;
        if (!strcmp(name, "..")) {
            node = node ? tree->nodes[node].parent : 0;
            continue;
        }
        failed = pb_tree_read(tree, node, error);
        if (failed)
            return failed;
        child = find_child(tree, node, name);
        if (child == PB_NONE)
            return pb_fail(error, ENOENT, "find", "%s", path);
        if (S_ISLNK(tree->nodes[child].mode) && (follow || at[strspn(at, "/")])) {
            char *spliced;
            if (++links > MOST_LINKS)
                return pb_fail(error, ELOOP, "find", "%s", path);
            failed = splice_link(tree, child, at, &spliced, error);
            if (failed)
                return failed;
            free(held);
            at = held = spliced;
            if (*at == '/')
                node = 0;
            continue;
        }
        node = child;
    }
    *ret = node;
    return 0;
}
