/* Keeping a tree: what it and the earlier index know, breadth first, so that the children of a folder are neighbours. */
#include "error.h"
#include "index.h"
#include "tree.h"

#include <errno.h>

/* Where a node comes from: the tree, or the part of the earlier index that nobody looked at this time. */
typedef struct {
    uint32_t node;
    uint32_t parent : 31; /* its place in the new index */
    uint32_t earlier : 1; /* of the earlier index */
} source;

/* All that is to be written, in order; the folders' contents come at its end when the folder is written. */
typedef struct {
    source *items;
    uint32_t count, capacity;
} queue;

static void free_queue(queue *list)
{
    free(list->items);
}

static int add(queue *list, source item)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity + list->capacity / 2 + 1024;
        source *items = capacity >> 31 ? NULL : realloc(list->items, capacity * sizeof *items);
        if (!items)
            return capacity >> 31 ? -EFBIG : -ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
    return 0;
}

/* Files that changed so lately that a further change could leave the same times are not remembered: git calls them racy. The
 * kernel's clock for files goes in steps of up to 10 ms; some file systems keep whole seconds (ext3, ext4 with small inodes,
 * FAT: two of them), which shows in the times. */
static int is_racy(const pb_tree *tree, const pb_node *node)
{
    static const int64_t millisecond = 1000 * 1000;
    int64_t grain = node->ctime % (10 * millisecond) ? 20 * millisecond : 2020 * millisecond;
    return node->ctime >= tree->opened - grain;
}

/* The folder's contents as they are best known: as read now, or as the earlier index has them. */
static int add_children(const pb_tree *tree, source from, uint32_t place, queue *list)
{
    const pb_node *node = from.earlier ? &tree->index.nodes[from.node] : &tree->nodes[from.node];
    int failed = 0;

    if (!S_ISDIR(node->mode))
        return 0;
    if (!from.earlier && !(node->flags & PB_NODE_READ) && node->earlier != PB_NONE) {
        from.earlier = 1;
        node = &tree->index.nodes[node->earlier];
    }
    for (uint32_t i = 0; !failed && i < node->child_count; i++) {
        uint32_t child = node->first_child + i;
        pb_tree_pass(tree, child);
        if (from.earlier || !(tree->nodes[child].flags & PB_NODE_GONE))
            failed = add(list, (source){child, place & INT32_MAX, from.earlier});
    }
    return failed;
}

static int write_nodes(const pb_tree *tree, pb_index_writer *writer, queue *list)
{
    int failed = add(list, (source){0, 0, 0});

    for (uint32_t place = 0; !failed && place < list->count; place++) {
        source from = list->items[place];
        pb_node copy = from.earlier ? tree->index.nodes[from.node] : tree->nodes[from.node];
        const char *name = (from.earlier ? tree->index.names : tree->names) + copy.name;
        uint32_t first = list->count;
        failed = add_children(tree, from, place, list);
        pb_tree_pass(tree, place);
        if (failed)
            return failed;
        copy.parent = from.parent;
        copy.first_child = list->count > first ? first : 0;
        copy.child_count = list->count - first;
        copy.flags &= PB_NODE_CONTENT | PB_NODE_XATTRS;
        if (!from.earlier && is_racy(tree, &copy))
            copy.flags = 0;
        failed = pb_index_append(writer, &copy, name);
    }
    return failed;
}

int pb_tree_save(pb_tree *tree, const char *file, pb_error *error)
{
    PB_INDEX_WRITER pb_index_writer *writer = NULL;
    __attribute__((cleanup(free_queue))) queue list = {0};
    int failed = pb_index_start(file, &tree->secret, tree->spare_fd, &writer);

    if (!failed)
        failed = write_nodes(tree, writer, &list);
    if (!failed)
        failed = pb_index_finish(writer);
    return failed ? pb_fail(error, -failed, "write index", "%s", file) : 0;
}
