/* Listings: what a selection was, in the form of an index, to say later what changed. */
#include "error.h"
#include "index.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

/* One node of the selection and all below it. In the file the nodes chosen come first, with whole paths as names, and then
 * what is below each; so the place of everything is known before it is written. */
typedef struct {
    pb_nodes list;
    pb_fingerprint *merkle;
    uint32_t *first; /* where in the list the contents of each item begin */
    char *path;
    uint32_t top;  /* the place of the first item */
    uint32_t base; /* the place of item k is base + k */
} selection;

static int by_selection_path(const void *left, const void *right)
{
    return strcmp(((const selection *)left)->path, ((const selection *)right)->path);
}

static int append_item(const pb_tree *tree, pb_index_writer *writer, const selection *from, size_t item, uint32_t parent,
                       const char *name, int flags)
{
    pb_node copy = tree->nodes[from->list.items[item]];

    copy.parent = parent;
    copy.child_count = from->first[item + 1] - from->first[item];
    copy.first_child = copy.child_count ? from->base + from->first[item] : 0;
    copy.nlink = 0;
    copy.inode = copy.device = 0;
    copy.mtime = copy.ctime = 0;
    copy.flags = PB_NODE_CONTENT | PB_NODE_XATTRS;
    if (S_ISDIR(copy.mode))
        copy.content = from->merkle[item];
    if (flags & PB_WITHOUT_OWNER)
        copy.uid = copy.gid = 0;
    return pb_index_append(writer, &copy, name);
}

static int write_nodes(const pb_tree *tree, selection *chosen, size_t count, int flags, pb_index_writer *writer)
{
    pb_node root = {.mode = S_IFDIR, .parent = PB_NONE, .first_child = count > 0, .child_count = (uint32_t)count};
    uint64_t place = 1 + (uint64_t)count;
    int failed = pb_index_append(writer, &root, "");

    for (size_t i = 0; !failed && i < count; i++) {
        chosen[i].top = (uint32_t)i + 1;
        chosen[i].base = (uint32_t)place - 1;
        place += chosen[i].list.count - 1;
        failed = place >= PB_NONE ? -EFBIG : append_item(tree, writer, &chosen[i], 0, 0, chosen[i].path, flags);
    }
    for (size_t i = 0; !failed && i < count; i++) {
        const selection *now = &chosen[i];
        for (uint32_t above = 0; !failed && above < now->list.count; above++)
            for (uint32_t item = now->first[above]; !failed && item < now->first[above + 1]; item++)
                failed = append_item(tree, writer, now, item, above ? now->base + above : now->top,
                                     pb_tree_name(tree, now->list.items[item]), flags);
    }
    return failed;
}

static int write_listing(const pb_tree *tree, selection *selections, size_t count, int flags, const char *file,
                         pb_error *error)
{
    PB_INDEX_WRITER pb_index_writer *writer = NULL;
    int failed;

    qsort(selections, count, sizeof *selections, by_selection_path);
    failed = pb_index_start(file, &tree->secret, &writer);
    if (!failed)
        failed = write_nodes(tree, selections, count, flags, writer);
    if (!failed)
        failed = pb_index_finish(writer);
    return failed ? pb_fail(error, -failed, "write listing", "%s", file) : 0;
}

static int select_node(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, selection *ret, pb_error *error)
{
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "write listing", "node %u", node);
    failed = pb_tree_digest(tree, node, exclude, flags, &ret->list, &ret->merkle, error);
    if (failed)
        return failed;
    ret->path = pb_tree_path(tree, node);
    ret->first = pb_tree_ranges(tree, &ret->list);
    return ret->path && ret->first ? 0 : pb_fail(error, ENOMEM, "write listing", "%s", "");
}

static void clear_selection(selection *selected)
{
    free(selected->list.items);
    free(selected->merkle);
    free(selected->first);
    free(selected->path);
    *selected = (selection){0};
}

int pb_tree_save_listing(pb_tree *tree, const uint32_t *nodes, size_t count, const pb_ignore *exclude, int flags,
                         const char *file, pb_error *error)
{
    PB_FREE selection *selections = calloc(count + 1, sizeof *selections);
    size_t used = 0;
    int failed = selections ? 0 : pb_fail(error, ENOMEM, "write listing", "%s", file);

    for (size_t i = 0; !failed && i < count; i++) {
        failed = select_node(tree, nodes[i], exclude, flags, &selections[used], error);
        if (failed || selections[used].list.count)
            used++;
        else
            clear_selection(&selections[used]); /* left out altogether */
    }
    if (!failed)
        failed = write_listing(tree, selections, used, flags, file, error);
    while (used > 0)
        clear_selection(&selections[--used]);
    return failed;
}
