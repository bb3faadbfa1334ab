/* Selections: what patterns leave of the nodes at and below one of them. */
#include "error.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>

/* What the patterns say of a node by its path: KEPT, LEFT_OUT, or for a folder that is left out IN_DOUBT: an exception may
 * keep something below it. */
enum { KEPT, LEFT_OUT, IN_DOUBT };

static int judge(const pb_tree *tree, uint32_t top, uint32_t node, const pb_ignore *exclude)
{
    PB_FREE char *path = pb_tree_path_below(tree, top, node);
    PB_FREE char *whole = NULL;
    const char *below = pb_ignore_below(exclude), *judged = path;
    int rule;

    if (!path)
        return -ENOMEM;
    if (*below) {
        if (asprintf(&whole, "%s%s%s", below, *path ? "/" : "", path) < 0) {
            whole = NULL;
            return -ENOMEM;
        }
        judged = whole;
    }
    if (!pb_ignore_match(exclude, judged, &rule))
        return KEPT;
    return S_ISDIR(tree->nodes[node].mode) && pb_ignore_may_keep_below(exclude, judged) ? IN_DOUBT : LEFT_OUT;
}

/* Whether anything below a folder in doubt is kept: 1 or 0. */
static int keeps_something(pb_tree *tree, uint32_t top, uint32_t node, const pb_ignore *exclude)
{
    PB_NODES pb_nodes doubtful = {0};
    int failed = pb_nodes_add(&doubtful, node);

    while (!failed && doubtful.count) {
        uint32_t folder = doubtful.items[--doubtful.count];
        failed = pb_tree_read(tree, folder, NULL);
        for (uint32_t i = 0; !failed && i < tree->nodes[folder].child_count; i++) {
            uint32_t child = tree->nodes[folder].first_child + i;
            int verdict = tree->nodes[child].flags & PB_NODE_GONE ? LEFT_OUT : judge(tree, top, child, exclude);
            if (verdict == KEPT)
                return 1;
            failed = verdict == IN_DOUBT ? pb_nodes_add(&doubtful, child) : verdict < 0 ? verdict : 0;
        }
    }
    return failed;
}

int pb_tree_excluded(pb_tree *tree, uint32_t top, uint32_t node, const pb_ignore *exclude, int *result)
{
    int verdict, kept;

    *result = 0;
    if (!exclude || (node == top && !*pb_ignore_below(exclude)))
        return 0;
    verdict = judge(tree, top, node, exclude);
    if (verdict < 0)
        return verdict;
    kept = verdict == IN_DOUBT ? keeps_something(tree, top, node, exclude) : verdict == KEPT;
    if (kept < 0)
        return kept;
    *result = !kept;
    return 0;
}

int pb_tree_collect(pb_tree *tree, uint32_t top, const pb_ignore *exclude, pb_nodes *ret, pb_error *error)
{
    size_t first = ret->count;
    int excluded, failed = pb_tree_excluded(tree, top, top, exclude, &excluded);

    if (!failed && !excluded)
        failed = pb_nodes_add(ret, top);
    if (!failed && !exclude) { /* else only what is left has to be read */
        failed = pb_tree_read_all(tree, top, error);
        if (failed)
            return failed;
    }
    for (size_t i = first; !failed && i < ret->count; i++) {
        uint32_t node = ret->items[i];
        pb_tree_pass(tree, i);
        failed = pb_tree_read(tree, node, error);
        if (failed)
            return failed;
        for (uint32_t k = 0; !failed && k < tree->nodes[node].child_count; k++) {
            uint32_t child = tree->nodes[node].first_child + k;
            pb_tree_pass(tree, child);
            if (tree->nodes[child].flags & PB_NODE_GONE)
                continue;
            failed = pb_tree_excluded(tree, top, child, exclude, &excluded);
            if (!failed && !excluded)
                failed = pb_nodes_add(ret, child);
        }
    }
    return failed ? pb_fail(error, -failed, "walk", "%s", pb_tree_name(tree, top)) : 0;
}
