/* Walking: directories are read when they are needed, each at most once, and what the rules leave out is not looked at.
 *
 * Two threads take directories from one queue, in the order in which they were found. What is in a directory is read apart
 * from the tree, and appended to it at once under a lock: so nodes may move only there, and a thread that reads knows
 * nothing of the other's directory.
 */
#include "directory.h"
#include "error.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* A second thread pays once so many directories wait. */
enum { THREADS = 2, WORTH_A_THREAD = 4 };

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

/* One walk. Everything here, and the tree's nodes and names, are for who holds the lock. */
typedef struct {
    pb_tree *tree;
    int whole; /* everything below, or only what rules leave in doubt */
    pthread_mutex_t lock;
    pthread_cond_t more;
    pb_nodes waiting; /* directories to read, from `next` on */
    size_t next;
    pb_nodes doubtful; /* met on the way, parents before children */
    int busy;          /* threads that read */
    int idle;          /* threads that wait for more */
    int failed;
    pb_error *error;
    pthread_t threads[THREADS];
    int started;
} walk;

typedef struct pb_reader {
    pb_directory directory;
    pb_states *states; /* what the scopes remember, if the tree has rules; may be NULL */
    pb_scope *scope; /* of the rules in `scope_node`, the folder above the one read last; or NULL */
    uint32_t scope_node;
    pb_scope *inside; /* of the folder being read; or NULL */
} reader;

void pb_reader_free(reader *by)
{
    if (!by)
        return;
    pb_directory_free(&by->directory);
    pb_scope_free(by->scope);
    pb_scope_free(by->inside);
    pb_states_free(by->states);
    free(by);
}

static int new_reader(const pb_tree *tree, reader **ret)
{
    reader *made = calloc(1, sizeof *made);
    int failed = made ? pb_directory_start(&made->directory, tree) : -ENOMEM;

    if (!failed && tree->ignore)
        failed = pb_ignore_states(tree->ignore, &made->states);
    if (failed)
        pb_reader_free(made);
    else
        *ret = made;
    return failed;
}

/* --- rules --------------------------------------------------------------------------------------------------------- */

/* The scope of a folder, found from the one kept, or from the root: folders are mostly read next to each other. */
static int keep_scope(const pb_tree *tree, reader *by, uint32_t node)
{
    PB_NODES pb_nodes way = {0};
    pb_scope *scope = NULL;

    if (by->scope && by->scope_node == node)
        return 0;
    for (uint32_t up = node; up && !(by->scope && by->scope_node == up); up = tree->nodes[up].parent)
        if (pb_nodes_add(&way, up))
            return -ENOMEM;
    if (way.count && by->scope && by->scope_node == tree->nodes[way.items[way.count - 1]].parent) {
        scope = by->scope;
        by->scope = NULL;
    } else {
        scope = pb_scope_root(tree->ignore, by->states);
    }
    for (size_t i = way.count; scope && i-- > 0;) {
        pb_scope *above = scope;
        scope = pb_scope_enter(above, pb_tree_name(tree, way.items[i]));
        pb_scope_free(above);
    }
    pb_scope_free(by->scope);
    by->scope = scope;
    by->scope_node = node;
    return scope ? 0 : -ENOMEM;
}

static int open_scope(const pb_tree *tree, reader *by, uint32_t node)
{
    pb_scope_free(by->inside);
    by->inside = NULL;
    if (!tree->ignore)
        return 0;
    if (node == 0) {
        by->inside = pb_scope_root(tree->ignore, by->states);
    } else {
        int failed = keep_scope(tree, by, tree->nodes[node].parent);
        if (failed)
            return failed;
        by->inside = pb_scope_enter(by->scope, pb_tree_name(tree, node));
    }
    return by->inside ? 0 : -ENOMEM;
}

/* --- one directory after the other ------------------------------------------------------------------------------------ */

/* What is to be known of a directory to read it. */
static int prepare(const pb_tree *tree, reader *by, uint32_t node)
{
    pb_directory *directory = &by->directory;

    free(directory->path);
    directory->path = pb_tree_path(tree, node);
    if (!directory->path || open_scope(tree, by, node))
        return -ENOMEM;
    directory->scope = by->inside;
    directory->earlier = tree->nodes[node].earlier;
    directory->wants_xattrs = !(tree->nodes[node].flags & PB_NODE_XATTRS);
    return 0;
}

static void count_work(pb_tree *tree, const pb_directory *directory)
{
    tree->stats.directories++;
    tree->stats.entries += directory->entries;
}

/* Put what a directory holds into the tree. */
static int append(pb_tree *tree, uint32_t node, const pb_directory *directory)
{
    uint32_t first = tree->count, linked = 0;
    int failed = pb_tree_reserve(tree, directory->count, directory->names_size);
    pb_node *folder = &tree->nodes[node];

    if (failed)
        return failed;
    if (directory->count) {
        memcpy(tree->nodes + first, directory->nodes, directory->count * sizeof *folder);
        memcpy(tree->names + tree->names_size, directory->names, directory->names_size);
    }
    for (uint32_t i = first; i < first + directory->count; i++) {
        tree->nodes[i].parent = node;
        tree->nodes[i].name += (uint32_t)tree->names_size;
        linked += tree->nodes[i].nlink > 1 && !S_ISDIR(tree->nodes[i].mode);
    }
    tree->count += directory->count;
    atomic_fetch_add(&tree->linked, linked);
    tree->names_size += directory->names_size;
    if (directory->wants_xattrs) {
        folder->xattrs = directory->xattrs;
        folder->flags |= PB_NODE_XATTRS;
    }
    folder->first_child = first;
    folder->child_count = directory->count;
    folder->flags |= PB_NODE_READ;
    if (first / PB_REST_AFTER != tree->count / PB_REST_AFTER)
        pb_tree_rest(tree);
    return 0;
}

/* The folders in a directory that was read are next. */
static int queue_children(walk *all, uint32_t node)
{
    const pb_node *folder = &all->tree->nodes[node];
    int failed = 0;

    for (uint32_t i = folder->first_child; !failed && i < folder->first_child + folder->child_count; i++) {
        const pb_node *child = &all->tree->nodes[i];
        pb_tree_pass(all->tree, i);
        if (!S_ISDIR(child->mode) || child->flags & PB_NODE_GONE)
            continue;
        if (child->flags & PB_NODE_DOUBTFUL)
            failed = pb_nodes_add(&all->doubtful, i);
        else if (!all->whole)
            continue;
        if (!failed)
            failed = pb_nodes_add(&all->waiting, i);
    }
    return failed;
}

static void *help(void *argument);

/* Whoever waits may go on, and another thread may help. */
static void share(walk *all)
{
    size_t waiting = all->waiting.count - all->next;

    if (waiting && all->idle)
        pthread_cond_broadcast(&all->more);
    if (waiting >= WORTH_A_THREAD && all->started < THREADS - 1 && !all->failed &&
        !pthread_create(&all->threads[all->started], NULL, help, all))
        all->started++;
}

/* Read the next directory; the lock is held before and after, but not meanwhile. */
static int take_one(walk *all, reader *by, pb_error *error)
{
    pb_tree *tree = all->tree;
    uint32_t node = all->waiting.items[all->next++];
    int failed;

    if (!(tree->nodes[node].flags & PB_NODE_READ)) {
        failed = prepare(tree, by, node);
        if (failed)
            return pb_fail(error, -failed, "walk", "%s", pb_tree_name(tree, node));
        pthread_mutex_unlock(&all->lock);
        failed = pb_directory_read(&by->directory, error);
        pthread_mutex_lock(&all->lock);
        count_work(tree, &by->directory);
        if (failed)
            return failed;
        failed = append(tree, node, &by->directory);
        if (failed)
            return pb_fail(error, -failed, "walk", "%s", by->directory.path);
    }
    failed = queue_children(all, node);
    if (failed)
        return pb_fail(error, -failed, "walk", "%s", pb_tree_name(tree, node));
    share(all);
    return 0;
}

static void work_through(walk *all, reader *by)
{
    pb_error error;
    int failed = 0;

    pthread_mutex_lock(&all->lock);
    while (!all->failed) {
        if (all->next < all->waiting.count) {
            all->busy++;
            failed = take_one(all, by, &error);
            all->busy--;
        } else if (all->busy) {
            all->idle++;
            pthread_cond_wait(&all->more, &all->lock);
            all->idle--;
        } else {
            break;
        }
        if (failed && !all->failed) {
            all->failed = failed;
            if (all->error)
                *all->error = error;
        }
    }
    pthread_cond_broadcast(&all->more); /* whoever waits has nothing to wait for any more */
    pthread_mutex_unlock(&all->lock);
}

/* A thread that cannot begin leaves the work to the others. */
static void *help(void *argument)
{
    walk *all = argument;
    reader *by;

    if (!new_reader(all->tree, &by)) {
        work_through(all, by);
        pb_reader_free(by);
    }
    return NULL;
}

/* Folders that rules leave out, but whose contents an exception may bring back, stay only if something came back. */
static void settle_doubts(pb_tree *tree, const pb_nodes *doubtful)
{
    for (size_t i = doubtful->count; i-- > 0;) {
        pb_node *folder = &tree->nodes[doubtful->items[i]];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < folder->child_count; k++)
            kept += !(tree->nodes[folder->first_child + k].flags & PB_NODE_GONE);
        folder->flags &= ~(uint32_t)PB_NODE_DOUBTFUL;
        folder->flags |= kept ? 0 : PB_NODE_GONE;
    }
}

static int walk_from(pb_tree *tree, uint32_t node, int whole, pb_error *error)
{
    walk all = {.tree = tree,
                .whole = whole,
                .lock = PTHREAD_MUTEX_INITIALIZER,
                .more = PTHREAD_COND_INITIALIZER,
                .error = error};

    if ((!tree->reader && new_reader(tree, &tree->reader)) || pb_nodes_add(&all.waiting, node))
        return pb_fail(error, ENOMEM, "walk", "%s", pb_tree_name(tree, node));
    work_through(&all, tree->reader);
    while (all.started > 0) /* none is started any more: either nothing is left to read, or all know of the failure */
        pthread_join(all.threads[--all.started], NULL);
    if (!all.failed)
        settle_doubts(tree, &all.doubtful);
    for (size_t i = 0; all.failed && i < all.doubtful.count; i++) /* those above are not to be taken for read: doubts are left */
        tree->nodes[tree->nodes[all.doubtful.items[i]].parent].flags &= ~(uint32_t)PB_NODE_READ;
    pthread_mutex_destroy(&all.lock);
    pthread_cond_destroy(&all.more);
    free(all.waiting.items);
    free(all.doubtful.items);
    return all.failed;
}

int pb_tree_read(pb_tree *tree, uint32_t node, pb_error *error)
{
    if (tree->nodes[node].flags & PB_NODE_READ || !S_ISDIR(tree->nodes[node].mode))
        return 0;
    return walk_from(tree, node, 0, error);
}

int pb_tree_read_all(pb_tree *tree, uint32_t node, pb_error *error)
{
    return S_ISDIR(tree->nodes[node].mode) ? walk_from(tree, node, 1, error) : 0;
}
