/* Listings: what a selection was, in the form of an index, to say later what changed. */
#include "error.h"
#include "index.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

static pb_node listed(const pb_tree *tree, uint32_t node, uint32_t parent, const pb_fingerprint *merkle, int flags)
{
    pb_node copy = tree->nodes[node];
    copy.parent = parent;
    copy.earlier = PB_NONE;
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
            pb_node copy = listed(tree, node, written[i], &from->merkle[cursor], flags);
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
        copy = listed(tree, selections[i].list.items[0], 0, &selections[i].merkle[0], flags);
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
            failed = pb_tree_digest(tree, nodes[i], exclude, flags, &selections[i].list, &selections[i].merkle, error);
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
