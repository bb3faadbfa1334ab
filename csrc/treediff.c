/* What differs between two folders of changes: one line of text for each difference. */
#include "difftext.h"
#include "doubles.h"
#include "error.h"
#include "linkmap.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

/* The nodes of a tree. */
typedef struct {
    const pb_node *nodes;
    const char *names;
} side;

/* What is compared beyond what listings have. For each node the first name of its file, if it is a
 * further one, else PB_NONE; and whether it is opaque. */
typedef struct {
    uint32_t *first;
    uint8_t *opaque;
} marks;

typedef struct {
    side old, new;
    pb_difftext text;
    const pb_tree *old_tree, *new_tree;
    marks old_marks, new_marks;
    int64_t newest; /* times are compared as they are with this bound; -1: not at all */
} report;

static char *join(const char *folder, const char *name)
{
    char *path;
    return asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", name) < 0 ? NULL : path;
}

static int64_t as_written(const report *out, const pb_node *node)
{
    return (node->mtime < out->newest ? node->mtime : out->newest) / INT64_C(1000000000);
}

/* The path of the first name of a file, NULL for one that has one name here or is the first itself. */
static int same_link(const report *out, uint32_t old, uint32_t new)
{
    uint32_t a = out->old_marks.first[old], b = out->new_marks.first[new];
    PB_FREE char *left = a == PB_NONE ? NULL : pb_tree_path(out->old_tree, a);
    PB_FREE char *right = b == PB_NONE ? NULL : pb_tree_path(out->new_tree, b);
    if ((a != PB_NONE && !left) || (b != PB_NONE && !right))
        return -ENOMEM;
    return left && right ? !strcmp(left, right) : left == right;
}

static int compare_marks(report *out, uint32_t a, uint32_t b, const char *path)
{
    const pb_node *old = &out->old.nodes[a], *new = &out->new.nodes[b];
    int same = same_link(out, a, b), failed = 0;

    if (same < 0)
        return same;
    if (!same)
        failed = pb_difftext_tell(&out->text, "link", path, "%s", "");
    if (!failed && out->old_marks.opaque[a] != out->new_marks.opaque[b])
        failed = pb_difftext_tell(&out->text, "opaque", path, "%s", "");
    if (!failed && out->newest >= 0 && strcmp(pb_difftext_kind(old), "removal") && as_written(out, old) != as_written(out, new))
        failed = pb_difftext_tell(&out->text, "time", path, "%lld → %lld", (long long)as_written(out, old), (long long)as_written(out, new));
    return failed;
}

typedef struct {
    uint32_t old, new;
    char *path;
} pair;

typedef struct {
    pair *items;
    size_t count, capacity;
} stack;

static int push(stack *left, uint32_t old, uint32_t new, const char *path)
{
    if (left->count == left->capacity) {
        size_t capacity = left->capacity * 2 + 64;
        pair *items = realloc(left->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        left->items = items;
        left->capacity = capacity;
    }
    left->items[left->count] = (pair){old, new, strdup(path)};
    return left->items[left->count++].path ? 0 : -ENOMEM;
}

/* Say what differs in two folders, and push the folders in them that differ too, the first to be taken first. */
static int merge(report *out, stack *left, pair now)
{
    size_t pushed = left->count;
    const pb_node *old_folder = &out->old.nodes[now.old], *new_folder = &out->new.nodes[now.new];
    uint32_t a = old_folder->first_child, a_end = a + old_folder->child_count;
    uint32_t b = new_folder->first_child, b_end = b + new_folder->child_count;
    int failed = 0;

    while (!failed && (a < a_end || b < b_end)) {
        const pb_node *old = a < a_end ? &out->old.nodes[a] : NULL, *new = b < b_end ? &out->new.nodes[b] : NULL;
        const char *old_name = old ? out->old.names + old->name : NULL, *new_name = new ? out->new.names + new->name : NULL;
        int order = !old ? 1 : !new ? -1 : strcmp(old_name, new_name);
        PB_FREE char *path = join(now.path, order > 0 ? new_name : old_name);
        if (!path)
            return -ENOMEM;
        if (order < 0) {
            failed = pb_difftext_tell(&out->text, "removed", path, "%s", pb_difftext_kind(old));
            a++;
        } else if (order > 0) {
            failed = pb_difftext_tell(&out->text, "added", path, "%s", pb_difftext_kind(new));
            b++;
        } else {
            failed = pb_difftext_compare(&out->text, old, new, path);
            if (!failed)
                failed = compare_marks(out, a, b, path);
            if (!failed && S_ISDIR(old->mode) && S_ISDIR(new->mode))
                failed = push(left, a, b, path);
            a++;
            b++;
        }
    }
    for (size_t low = pushed, high = left->count; low + 1 < high; low++) {
        pair swap = left->items[low];
        left->items[low] = left->items[--high];
        left->items[high] = swap;
    }
    return failed;
}

static int diff(report *out)
{
    stack left = {0};
    int failed = push(&left, 0, 0, "");

    while (!failed && left.count) {
        pair now = left.items[--left.count];
        failed = merge(out, &left, now);
        free(now.path);
    }
    while (left.count)
        free(left.items[--left.count].path);
    free(left.items);
    return failed;
}

static int is_opaque(const pb_tree *tree, uint32_t node, pb_error *error)
{
    static const char *const OPAQUE[] = {"trusted.overlay.opaque", "user.overlay.opaque"};
    PB_CLOSE int fd = pb_tree_open_node(tree, node, O_RDONLY | O_DIRECTORY, error);
    char value[8];

    if (fd < 0)
        return fd;
    for (size_t i = 0; i < 2; i++)
        if (fgetxattr(fd, OPAQUE[i], value, sizeof value) > 0 && value[0] == 'y')
            return 1;
    return 0;
}

static int mark(const pb_tree *tree, const pb_nodes *list, marks *ret, pb_error *error)
{
    PB_DOUBLES pb_doubles doubles = {0};
    pb_linkmap links = {0};
    int failed = 0;

    ret->first = malloc((tree->count + 1) * sizeof *ret->first);
    ret->opaque = calloc(tree->count + 1, 1);
    if (!ret->first || !ret->opaque || pb_doubles_find(tree, list, &doubles))
        return pb_fail(error, ENOMEM, "compare", "%s", "");
    for (uint32_t i = 0; i < tree->count; i++)
        ret->first[i] = PB_NONE;
    for (size_t i = 0; !failed && i < list->count; i++) {
        uint32_t node = list->items[i];
        const pb_link *first;
        int known;
        if (S_ISDIR(tree->nodes[node].mode)) {
            known = is_opaque(tree, node, error);
            if (known < 0)
                failed = known;
            ret->opaque[node] = known > 0;
        } else if (tree->nodes[node].nlink > 1 && pb_doubles_have(&doubles, &tree->nodes[node])) {
            known = pb_linkmap_add(&links, tree->nodes[node].device, tree->nodes[node].inode, "", node, &first);
            if (known > 0)
                ret->first[node] = (uint32_t)first->number;
            failed = known < 0 ? pb_fail(error, -known, "compare", "%s", "") : 0;
        }
    }
    pb_linkmap_free(&links);
    return failed;
}

/* Everything below a folder, with all hashes. */
static int look(int fd, const pb_secret *secret, pb_tree **tree, marks *ret, pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    int failed = pb_tree_open(fd, NULL, secret, NULL, fd, tree, error);

    if (!failed)
        failed = pb_tree_collect(*tree, 0, NULL, &list, error);
    if (!failed)
        failed = pb_tree_hash(*tree, list.items, list.count, error);
    return failed ? failed : mark(*tree, &list, ret, error);
}

int pb_changes_diff(int first_fd, int second_fd, const pb_secret *secret, int64_t newest, size_t limit, char **ret,
                    uint64_t *total, pb_error *error)
{
    pb_tree *old = NULL, *new = NULL;
    report out = {.text = {.limit = limit}, .newest = newest};
    int failed = look(first_fd, secret, &old, &out.old_marks, error);

    if (!failed)
        failed = look(second_fd, secret, &new, &out.new_marks, error);
    if (!failed) {
        out.old = (side){old->nodes, old->names};
        out.new = (side){new->nodes, new->names};
        out.old_tree = old;
        out.new_tree = new;
        failed = pb_difftext_start(&out.text);
        if (!failed)
            failed = diff(&out);
        if (failed)
            failed = pb_fail(error, -failed, "compare", "%s", "");
    }
    pb_tree_free(old);
    pb_tree_free(new);
    free(out.old_marks.first);
    free(out.old_marks.opaque);
    free(out.new_marks.first);
    free(out.new_marks.opaque);
    if (failed) {
        free(out.text.text);
        return failed;
    }
    *ret = out.text.text;
    *total = out.text.total;
    return 0;
}
