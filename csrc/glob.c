/* Finding nodes by a pattern: one component of it after the other, each against the names in the folders found so far. */
#include "error.h"
#include "pattern.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

static int add_matches(pb_tree *tree, uint32_t node, const pb_pattern *matcher, pb_nodes *found, pb_error *error)
{
    int failed = pb_tree_read(tree, node, error);
    for (uint32_t i = 0; !failed && i < tree->nodes[node].child_count; i++) {
        uint32_t child = tree->nodes[node].first_child + i;
        const char *name = pb_tree_name(tree, child);
        if (tree->nodes[child].flags & PB_NODE_GONE || !pb_pattern_match(matcher, name, strlen(name), NULL))
            continue;
        failed = pb_nodes_add(found, child);
        if (failed)
            return pb_fail(error, -failed, "match", "%s", "");
    }
    return failed;
}

/* Add a directory and all directories below it. */
static int add_folders(pb_tree *tree, uint32_t top, pb_nodes *found, pb_error *error)
{
    size_t first = found->count;
    int failed = pb_tree_read_all(tree, top, error);

    if (failed)
        return failed;
    failed = pb_nodes_add(found, top);
    for (size_t i = first; !failed && i < found->count; i++) {
        uint32_t node = found->items[i];
        for (uint32_t k = 0; !failed && k < tree->nodes[node].child_count; k++) {
            uint32_t child = tree->nodes[node].first_child + k;
            if (S_ISDIR(tree->nodes[child].mode) && !(tree->nodes[child].flags & PB_NODE_GONE))
                failed = pb_nodes_add(found, child);
        }
    }
    return failed ? pb_fail(error, -failed, "match", "%s", "") : 0;
}

static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* `**` finds a folder on several ways, and the next one would find all below it as often. */
static void keep_unique(pb_nodes *list)
{
    size_t unique = 0;

    if (list->count)
        qsort(list->items, list->count, sizeof *list->items, by_number);
    for (size_t i = 0; i < list->count; i++)
        if (!i || list->items[i] != list->items[i - 1])
            list->items[unique++] = list->items[i];
    list->count = unique;
}

static int by_path(const void *left, const void *right, void *argument)
{
    const pb_tree *tree = argument;
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    if (a == b)
        return 0;
    if (tree->nodes[a].parent == tree->nodes[b].parent) /* most are neighbours */
        return strcmp(pb_tree_name(tree, a), pb_tree_name(tree, b));
    {
        PB_FREE char *path = pb_tree_path(tree, a);
        PB_FREE char *other = pb_tree_path(tree, b);
        return path && other ? strcmp(path, other) : 0;
    }
}

/* One component of a pattern, from the nodes found so far to the next ones. */
static int descend(pb_tree *tree, pb_nodes *now, const char *component, size_t length, int double_star, pb_error *error)
{
    PB_NODES pb_nodes next = {0};
    pb_pattern matcher = {0};
    int failed = 0, deep = double_star && length == 2 && !strncmp(component, "**", 2);

    if (!deep) {
        failed = pb_pattern_compile(component, length, PB_PATTERN_NAME, &matcher);
        if (failed)
            return pb_fail_detail(error, -failed, "match", component, "%s", "syntax error in pattern");
    }
    for (size_t i = 0; !failed && i < now->count; i++) {
        if (!S_ISDIR(tree->nodes[now->items[i]].mode))
            continue;
        failed = deep ? add_folders(tree, now->items[i], &next, error)
                      : add_matches(tree, now->items[i], &matcher, &next, error);
    }
    pb_pattern_cleanup(&matcher);
    if (deep)
        keep_unique(&next);
    if (!failed) {
        pb_nodes swap = *now;
        *now = next;
        next = swap;
    }
    return failed;
}

int pb_tree_glob(pb_tree *tree, const char *pattern, int double_star, uint32_t **ret, size_t *count, pb_error *error)
{
    PB_NODES pb_nodes now = {0};
    size_t fixed = 0;
    uint32_t start;
    int failed, deep_at_end = 0;

    /* Links are followed in the part without patterns, and nowhere behind it. */
    for (size_t end = 0; pattern[fixed];) {
        end = fixed + strcspn(pattern + fixed, "/");
        if (strcspn(pattern + fixed, "*?[\\") < end - fixed)
            break;
        fixed = pattern[end] ? end + 1 : end;
    }
    {
        PB_FREE char *prefix = strndup(pattern, fixed);
        if (!prefix)
            return pb_fail(error, ENOMEM, "match", "%s", pattern);
        *ret = NULL;
        *count = 0;
        failed = pb_tree_find(tree, prefix, 1, &start, error);
        if (failed)
            return failed == -ENOENT || failed == -ENOTDIR ? 0 : failed;
    }
    failed = pb_nodes_add(&now, start);
    for (const char *at = pattern + fixed; !failed && *at;) {
        size_t length = strcspn(at, "/");
        deep_at_end = double_star && length == 2 && !strncmp(at, "**", 2);
        failed = descend(tree, &now, at, length, double_star, error);
        at += length;
        at += strspn(at, "/");
    }
    if (failed)
        return failed;
    if (deep_at_end) { /* a pattern that ends in ** also means the files in those folders */
        size_t folders = now.count;
        for (size_t i = 0; !failed && i < folders; i++) {
            uint32_t node = now.items[i];
            for (uint32_t k = 0; !failed && k < tree->nodes[node].child_count; k++) {
                uint32_t child = tree->nodes[node].first_child + k;
                if (!S_ISDIR(tree->nodes[child].mode) && !(tree->nodes[child].flags & PB_NODE_GONE))
                    failed = pb_nodes_add(&now, child);
            }
        }
        if (failed)
            return pb_fail(error, -failed, "match", "%s", pattern);
    }
    if (now.count)
        qsort_r(now.items, now.count, sizeof *now.items, by_path, tree);
    *ret = now.items;
    *count = now.count;
    now.items = NULL;
    return 0;
}
