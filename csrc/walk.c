/* Walking: directories are read when they are needed, each at most once, and what the rules leave out is not looked at. */
#include "error.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

enum { DENTS_SIZE = 64 * 1024 };

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

/* --- names ------------------------------------------------------------------------------------------------------ */

typedef struct {
    char *bytes; /* names one after the other, each ended by NUL */
    size_t size, capacity;
    uint32_t count;
} name_list;

static void free_names(name_list *list)
{
    free(list->bytes);
}

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

/* --- rules --------------------------------------------------------------------------------------------------------- */

/* The scope of a folder, found from the one kept, or from the root: folders are mostly read next to each other. */
static int keep_scope(pb_tree *tree, uint32_t node)
{
    PB_NODES pb_nodes way = {0};
    pb_scope *scope = NULL;

    if (tree->scope && tree->scope_node == node)
        return 0;
    for (uint32_t up = node; up && !(tree->scope && tree->scope_node == up); up = tree->nodes[up].parent)
        if (pb_nodes_add(&way, up))
            return -ENOMEM;
    if (way.count && tree->scope && tree->scope_node == tree->nodes[way.items[way.count - 1]].parent) {
        scope = tree->scope;
        tree->scope = NULL;
    } else {
        scope = pb_scope_root(tree->ignore);
    }
    for (size_t i = way.count; scope && i-- > 0;) {
        pb_scope *above = scope;
        scope = pb_scope_enter(above, pb_tree_name(tree, way.items[i]));
        pb_scope_free(above);
    }
    pb_scope_free(tree->scope);
    tree->scope = scope;
    tree->scope_node = node;
    return scope ? 0 : -ENOMEM;
}

static int open_scope(pb_tree *tree, uint32_t node, pb_scope **ret)
{
    *ret = NULL;
    if (!tree->ignore)
        return 0;
    if (node == 0) {
        *ret = pb_scope_root(tree->ignore);
    } else {
        int failed = keep_scope(tree, tree->nodes[node].parent);
        if (failed)
            return failed;
        *ret = pb_scope_enter(tree->scope, pb_tree_name(tree, node));
    }
    return *ret ? 0 : -ENOMEM;
}

static void close_scope(pb_scope **scope)
{
    pb_scope_free(*scope);
}

/* --- reading directories -------------------------------------------------------------------------------------------- */

/* Look one name up and append its node. `earlier` goes along the index's children of the same directory. */
static int append_child(pb_tree *tree, uint32_t parent, int dir_fd, const char *name, uint32_t *earlier,
                        uint32_t earlier_end)
{
    size_t length = strlen(name) + 1;
    struct statx stat;
    pb_node *node;
    int failed;

    if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stat))
        return errno == ENOENT ? 0 : -errno; /* removed since the directory was read */
    tree->stats.entries++;
    failed = pb_tree_reserve(tree, 1, length);
    if (failed)
        return failed;
    node = &tree->nodes[tree->count];
    memset(node, 0, sizeof *node);
    memcpy(tree->names + tree->names_size, name, length);
    node->name = (uint32_t)tree->names_size;
    node->parent = parent;
    node->earlier = PB_NONE;
    pb_node_fill(node, &stat);
    while (*earlier < earlier_end) {
        int order = strcmp(tree->index.names + tree->index.nodes[*earlier].name, name);
        if (order > 0)
            break;
        if (order == 0)
            node->earlier = *earlier;
        (*earlier)++;
    }
    pb_node_recall(tree, node);
    tree->names_size += length;
    tree->count++;
    return 1;
}

static int append_children(pb_tree *tree, uint32_t node, int fd, const char *path, const name_list *list, pb_error *error)
{
    PB_FREE const char **sorted = calloc((size_t)list->count + 1, sizeof *sorted);
    __attribute__((cleanup(close_scope))) pb_scope *scope = NULL;
    uint32_t earlier = 0, earlier_end = 0, first = tree->count, index = 0;

    if (!sorted || open_scope(tree, node, &scope))
        return pb_fail(error, ENOMEM, "walk", "%s", path);
    for (const char *name = list->bytes; index < list->count; name += strlen(name) + 1)
        sorted[index++] = name;
    qsort(sorted, list->count, sizeof *sorted, by_name);
    if (tree->nodes[node].earlier != PB_NONE) {
        const pb_node *then = &tree->index.nodes[tree->nodes[node].earlier];
        earlier = then->first_child;
        earlier_end = then->first_child + then->child_count;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        int rule, added, ignored = scope ? pb_scope_match(scope, sorted[i], &rule) : 0;
        pb_node *child;
        if (ignored < 0)
            return pb_fail(error, -ignored, "walk", "%s", path);
        if (ignored && !pb_scope_may_keep_below(scope, sorted[i], rule))
            continue;
        added = append_child(tree, node, fd, sorted[i], &earlier, earlier_end);
        if (added < 0)
            return pb_fail(error, -added, "look at", "%s%s%s", path, *path ? "/" : "", sorted[i]);
        child = &tree->nodes[tree->count - 1];
        if (added && ignored)
            child->flags |= S_ISDIR(child->mode) ? PB_NODE_DOUBTFUL : PB_NODE_GONE;
    }
    tree->nodes[node].first_child = first;
    tree->nodes[node].child_count = tree->count - first;
    tree->nodes[node].flags |= PB_NODE_READ;
    return 0;
}

/* Read one directory; the folders in it may stay in doubt. */
static int read_directory(pb_tree *tree, uint32_t node, pb_error *error)
{
    PB_FREE char *path = pb_tree_path(tree, node);
    PB_CLOSE int fd = -1;
    __attribute__((cleanup(free_names))) name_list list = {0};
    int failed;

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
        return pb_fail(error, -failed, "walk", "%s", path);
    return append_children(tree, node, fd, path, &list, error);
}

static int add_doubtful(const pb_tree *tree, uint32_t node, pb_nodes *list)
{
    int failed = 0;
    for (uint32_t i = 0; !failed && i < tree->nodes[node].child_count; i++)
        if (tree->nodes[tree->nodes[node].first_child + i].flags & PB_NODE_DOUBTFUL)
            failed = pb_nodes_add(list, tree->nodes[node].first_child + i);
    return failed;
}

/* Folders that rules leave out, but whose contents an exception may bring back, stay only if something came back. So all
 * doubtful folders below one must be read with it; one after the other, as depth must not cost stack or descriptors. */
int pb_tree_read(pb_tree *tree, uint32_t node, pb_error *error)
{
    PB_NODES pb_nodes doubtful = {0};
    int failed;

    if (tree->nodes[node].flags & PB_NODE_READ || !S_ISDIR(tree->nodes[node].mode))
        return 0;
    failed = read_directory(tree, node, error);
    if (failed || !tree->ignore)
        return failed;
    failed = add_doubtful(tree, node, &doubtful);
    for (size_t i = 0; !failed && i < doubtful.count; i++) {
        failed = read_directory(tree, doubtful.items[i], error);
        if (failed) {
            tree->nodes[node].flags &= ~(uint32_t)PB_NODE_READ; /* not to be taken for one without doubts */
            return failed;
        }
        failed = add_doubtful(tree, doubtful.items[i], &doubtful);
    }
    if (failed)
        return pb_fail(error, -failed, "walk", "%s", pb_tree_name(tree, node));
    for (size_t i = doubtful.count; i-- > 0;) {
        pb_node *folder = &tree->nodes[doubtful.items[i]];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < folder->child_count; k++)
            kept += !(tree->nodes[folder->first_child + k].flags & PB_NODE_GONE);
        folder->flags &= ~(uint32_t)PB_NODE_DOUBTFUL;
        folder->flags |= kept ? 0 : PB_NODE_GONE;
    }
    return 0;
}

/* --- selections --------------------------------------------------------------------------------------------------------- */

/* What the patterns say of a node by its path: KEPT, LEFT_OUT, or for a folder that is left out IN_DOUBT: an exception may
 * keep something below it. */
enum { KEPT, LEFT_OUT, IN_DOUBT };

static int judge(const pb_tree *tree, uint32_t top, uint32_t node, const pb_ignore *exclude)
{
    PB_FREE char *path = pb_tree_path_below(tree, top, node);
    int rule;

    if (!path)
        return -ENOMEM;
    if (!pb_ignore_match(exclude, path, &rule))
        return KEPT;
    return S_ISDIR(tree->nodes[node].mode) && pb_ignore_may_keep_below(exclude, path, rule) ? IN_DOUBT : LEFT_OUT;
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
    if (!exclude)
        return 0;
    if (node == top) {
        if (!S_ISDIR(tree->nodes[node].mode))
            *result = pb_ignore_match(exclude, pb_tree_name(tree, node), NULL);
        return 0;
    }
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
