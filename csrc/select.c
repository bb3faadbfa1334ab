/* Selections of a tree: nodes by path and pattern, their fingerprints, and listings of what they were. */
#include "error.h"
#include "index.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LINKS = 40 };

/* --- by path ------------------------------------------------------------------------------------------------- */

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
        if (!strcmp(name, "."))
            continue;
        if (!strcmp(name, "..")) {
            node = node ? tree->nodes[node].parent : 0;
            continue;
        }
        if (!S_ISDIR(tree->nodes[node].mode))
            return pb_fail(error, ENOTDIR, "find", "%s", path);
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

/* --- by pattern ---------------------------------------------------------------------------------------------- */

static int compile_component(const char *component, size_t length, pb_ignore **ret, pb_error *error)
{
    /* A leading `!` is no exception here. */
    PB_FREE char *pattern = NULL;
    int size = asprintf(&pattern, "%s%.*s", *component == '!' ? "\\" : "", (int)length, component);
    if (size < 0) {
        pattern = NULL;
        return pb_fail(error, ENOMEM, "match", "%s", component);
    }
    return pb_ignore_new(pattern, (size_t)size + 1, ret, error);
}

static int add_matches(pb_tree *tree, uint32_t node, const pb_ignore *matcher, pb_nodes *found, pb_error *error)
{
    int failed = pb_tree_read(tree, node, error);
    for (uint32_t i = 0; !failed && i < tree->nodes[node].child_count; i++) {
        uint32_t child = tree->nodes[node].first_child + i;
        if (tree->nodes[child].flags & PB_NODE_GONE || !pb_ignore_match(matcher, pb_tree_name(tree, child), NULL))
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
    int failed = pb_nodes_add(found, top);
    for (size_t i = first; !failed && i < found->count; i++) {
        uint32_t node = found->items[i];
        failed = pb_tree_read(tree, node, error);
        if (failed)
            return failed;
        for (uint32_t k = 0; !failed && k < tree->nodes[node].child_count; k++) {
            uint32_t child = tree->nodes[node].first_child + k;
            if (S_ISDIR(tree->nodes[child].mode) && !(tree->nodes[child].flags & PB_NODE_GONE))
                failed = pb_nodes_add(found, child);
        }
    }
    return failed ? pb_fail(error, -failed, "match", "%s", "") : 0;
}

typedef struct {
    const pb_tree *tree;
} path_order;

static int by_path(const void *left, const void *right, void *argument)
{
    const path_order *order = argument;
    PB_FREE char *a = pb_tree_path(order->tree, *(const uint32_t *)left);
    PB_FREE char *b = pb_tree_path(order->tree, *(const uint32_t *)right);
    return a && b ? strcmp(a, b) : 0;
}

/* One component of a pattern, from the nodes found so far to the next ones. */
static int descend(pb_tree *tree, pb_nodes *now, const char *component, size_t length, int double_star, pb_error *error)
{
    PB_NODES pb_nodes next = {0};
    pb_ignore *matcher = NULL;
    int failed = 0, deep = double_star && length == 2 && !strncmp(component, "**", 2);

    if (!deep)
        failed = compile_component(component, length, &matcher, error);
    for (size_t i = 0; !failed && i < now->count; i++) {
        if (!S_ISDIR(tree->nodes[now->items[i]].mode))
            continue;
        failed = deep ? add_folders(tree, now->items[i], &next, error)
                      : add_matches(tree, now->items[i], matcher, &next, error);
    }
    pb_ignore_free(matcher);
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
    size_t fixed = 0, unique = 0;
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
    if (now.count) {
        path_order order = {tree};
        qsort_r(now.items, now.count, sizeof *now.items, by_path, &order);
    }
    for (size_t i = 0; i < now.count; i++) /* `**` finds a folder on several ways */
        if (!i || now.items[i] != now.items[i - 1])
            now.items[unique++] = now.items[i];
    *ret = now.items;
    *count = unique;
    now.items = NULL;
    return 0;
}

/* --- fingerprints ---------------------------------------------------------------------------------------------- */

/* What is hashed of one entry, without its name. Every field has a fixed width, so that no two entries encode alike. */
static void hash_entry(const pb_tree *tree, uint32_t index, const pb_fingerprint *merkle, int flags, pb_hasher *hasher)
{
    const pb_node *node = &tree->nodes[index];
    uint64_t numbers[6] = {node->mode, node->uid, node->gid, node->size, node->rdev, 0};

    if (S_ISLNK(node->mode))
        numbers[0] = S_IFLNK; /* a link's own mode means nothing */
    if (flags & PB_WITHOUT_OWNER)
        numbers[1] = numbers[2] = 0;
    if (!S_ISCHR(node->mode) && !S_ISBLK(node->mode))
        numbers[4] = 0;
    for (int i = 0; i < 6; i++)
        pb_hasher_number(hasher, numbers[i]);
    pb_hasher_update(hasher, S_ISDIR(node->mode) ? merkle->bytes : node->content.bytes, sizeof merkle->bytes);
    pb_hasher_update(hasher, node->xattrs.bytes, sizeof node->xattrs.bytes);
}

/* The Merkle fingerprints of the directories of a collected list (parents before children): of the names and entries in
 * each. `ret` has one for each item of the list; those of other kinds stay zero. */
static int hash_directories(pb_tree *tree, const pb_nodes *list, int flags, pb_fingerprint **ret, pb_error *error)
{
    PB_FREE uint32_t *first = malloc((list->count + 1) * sizeof *first);
    pb_fingerprint *merkle = calloc(list->count + 1, sizeof *merkle);
    size_t cursor = 1;

    if (!first || !merkle) {
        free(merkle);
        return pb_fail(error, ENOMEM, "fingerprint", "%s", "");
    }
    for (size_t i = 0; i < list->count; i++) { /* the children of an item are neighbours, in the order of their parents */
        first[i] = (uint32_t)cursor;
        while (cursor < list->count && tree->nodes[list->items[cursor]].parent == list->items[i])
            cursor++;
    }
    first[list->count] = (uint32_t)list->count;
    for (size_t i = list->count; i-- > 0;) {
        if (!S_ISDIR(tree->nodes[list->items[i]].mode))
            continue;
        pb_hasher_reset(tree->hasher);
        for (uint32_t k = first[i]; k < first[i + 1]; k++) {
            const char *name = pb_tree_name(tree, list->items[k]);
            pb_hasher_text(tree->hasher, name, strlen(name));
            hash_entry(tree, list->items[k], &merkle[k], flags, tree->hasher);
        }
        pb_hasher_finish(tree->hasher, &merkle[i]);
    }
    *ret = merkle;
    return 0;
}

/* Collect a selection, hash what must be, and fingerprint its directories. */
static int digest_selection(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_nodes *list,
                            pb_fingerprint **merkle, pb_error *error)
{
    int failed = pb_tree_collect(tree, node, exclude, list, error);
    if (!failed)
        failed = pb_tree_hash(tree, list->items, list->count, error);
    return failed ? failed : hash_directories(tree, list, flags, merkle, error);
}

int pb_tree_fingerprint(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_fingerprint *ret,
                        pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    PB_FREE pb_fingerprint *merkle = NULL;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "fingerprint", "node %u", node);
    failed = digest_selection(tree, node, exclude, flags, &list, &merkle, error);
    if (failed)
        return failed;
    pb_hasher_reset(tree->hasher);
    if (list.count)
        hash_entry(tree, node, &merkle[0], flags, tree->hasher);
    pb_hasher_finish(tree->hasher, ret);
    return 0;
}

int pb_tree_measure(pb_tree *tree, uint32_t node, const pb_ignore *exclude, uint64_t *entries, uint64_t *bytes,
                    pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    int failed = pb_tree_collect(tree, node, exclude, &list, error);

    if (failed)
        return failed;
    *entries = list.count;
    *bytes = 0;
    for (size_t i = 0; i < list.count; i++)
        *bytes += S_ISREG(tree->nodes[list.items[i]].mode) ? tree->nodes[list.items[i]].size : 0;
    return 0;
}

/* --- listings --------------------------------------------------------------------------------------------------- */

static pb_node listed(const pb_tree *tree, uint32_t node, const pb_fingerprint *merkle, int flags)
{
    pb_node copy = tree->nodes[node];
    copy.parent = copy.earlier = PB_NONE;
    copy.nlink = 0;
    copy.inode = copy.device = 0;
    copy.mtime = copy.ctime = 0;
    copy.flags = PB_NODE_CONTENT | PB_NODE_XATTRS;
    if (S_ISDIR(copy.mode))
        copy.content = *merkle;
    if (flags & PB_WITHOUT_OWNER)
        copy.uid = copy.gid = 0;
    return copy;
}

typedef struct {
    pb_nodes list;
    pb_fingerprint *merkle;
    char *path;
} selection;

static int by_selection_path(const void *left, const void *right)
{
    return strcmp(((const selection *)left)->path, ((const selection *)right)->path);
}

/* Append everything below one selected node, whose own entry is at `top` in the writer. */
static int append_selection(pb_tree *tree, pb_index_writer *writer, uint32_t top, const selection *from, int flags)
{
    PB_FREE uint32_t *written = malloc((from->list.count + 1) * sizeof *written);
    size_t cursor = 1;

    if (!written)
        return -ENOMEM;
    written[0] = top;
    for (size_t i = 0; i < from->list.count; i++) {
        writer->nodes[written[i]].first_child = writer->count;
        for (; cursor < from->list.count && tree->nodes[from->list.items[cursor]].parent == from->list.items[i]; cursor++) {
            uint32_t node = from->list.items[cursor];
            pb_node copy = listed(tree, node, &from->merkle[cursor], flags);
            int failed = pb_index_append(writer, &copy, pb_tree_name(tree, node));
            if (failed)
                return failed;
            written[cursor] = writer->count - 1;
            writer->nodes[written[i]].child_count++;
        }
    }
    return 0;
}

static int write_listing(pb_tree *tree, selection *selections, size_t count, int flags, const char *file, pb_error *error)
{
    PB_INDEX_WRITER pb_index_writer writer = {0};
    pb_node root = {.mode = S_IFDIR, .parent = PB_NONE, .earlier = PB_NONE};
    int failed = pb_index_append(&writer, &root, "");

    qsort(selections, count, sizeof *selections, by_selection_path);
    for (size_t i = 0; !failed && i < count; i++) {
        pb_node copy;
        if (!selections[i].list.count)
            continue;
        copy = listed(tree, selections[i].list.items[0], &selections[i].merkle[0], flags);
        writer.nodes[0].first_child = 1;
        failed = pb_index_append(&writer, &copy, selections[i].path);
        writer.nodes[0].child_count = writer.count - 1;
    }
    for (size_t i = 0, top = 1; !failed && i < count; i++)
        if (selections[i].list.count)
            failed = append_selection(tree, &writer, (uint32_t)top++, &selections[i], flags);
    if (failed)
        return pb_fail(error, -failed, "write listing", "%s", file);
    return pb_index_write(&writer, &tree->secret, file, error);
}

int pb_tree_save_listing(pb_tree *tree, const uint32_t *nodes, size_t count, const pb_ignore *exclude, int flags,
                         const char *file, pb_error *error)
{
    selection *selections = calloc(count + 1, sizeof *selections);
    int failed = selections ? 0 : pb_fail(error, ENOMEM, "write listing", "%s", file);

    for (size_t i = 0; !failed && i < count; i++) {
        if (nodes[i] >= tree->count)
            failed = pb_fail(error, EINVAL, "write listing", "node %u", nodes[i]);
        else
            failed = digest_selection(tree, nodes[i], exclude, flags, &selections[i].list, &selections[i].merkle, error);
        if (!failed && !(selections[i].path = pb_tree_path(tree, nodes[i])))
            failed = pb_fail(error, ENOMEM, "write listing", "%s", file);
    }
    if (!failed)
        failed = write_listing(tree, selections, count, flags, file, error);
    for (size_t i = 0; selections && i < count; i++) {
        free(selections[i].list.items);
        free(selections[i].merkle);
        free(selections[i].path);
    }
    free(selections);
    return failed;
}
