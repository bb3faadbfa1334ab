/* Contents of files: hashed by two threads, in the order of inodes, which is nearly the order on the disk. */
#include "error.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

enum { THREADS = 2, WORTH_A_THREAD = 16, LARGE = 1 << 20, TRIES = 3 };

/* A node to hash, by the order on the disk. */
typedef struct {
    uint64_t inode;
    uint32_t node;
} place;

typedef struct {
    pb_tree *tree;
    const place *places;
    size_t count;
    atomic_size_t next;
    atomic_int failed; /* errno of the first failure */
    pthread_mutex_t lock;
    pb_error *error; /* written by the first failure, under the lock */
    uint64_t bytes;
} job;

static int fail_at(const pb_tree *tree, uint32_t node, int code, const char *operation, pb_error *error)
{
    PB_FREE char *path = pb_tree_path(tree, node);
    return pb_fail(error, code, operation, "%s", path ? path : "");
}

/* What was listed is gone, or something else stands there by now. */
static int changed(const pb_tree *tree, uint32_t node, pb_error *error)
{
    PB_FREE char *path = pb_tree_path(tree, node);
    return pb_fail_detail(error, ESTALE, "read", path ? path : "", "it changed while it was read");
}

/* The error of a file that could not be opened, for the reader of a message. */
static int not_opened(const pb_tree *tree, uint32_t node, int failed, pb_error *error)
{
    if (failed == -ENOENT || failed == -ENOTDIR || failed == -ELOOP || failed == -ENXIO || failed == -ESTALE)
        return changed(tree, node, error);
    return failed;
}

static int hash_link(pb_tree *tree, uint32_t index, pb_hasher *hasher, pb_error *error)
{
    pb_node *node = &tree->nodes[index];
    char target[4097];
    PB_CLOSE int fd = pb_tree_open_node(tree, index, O_PATH | O_NOFOLLOW, error);
    ssize_t length;

    if (fd < 0)
        return not_opened(tree, index, fd, error);
    length = readlinkat(fd, "", target, sizeof target);
    if (length < 0 && (errno == ENOENT || errno == EINVAL)) /* it is no link any more */
        return changed(tree, index, error);
    if (length < 0)
        return fail_at(tree, index, errno, "read link", error);
    pb_hasher_reset(hasher);
    pb_hasher_update(hasher, target, (size_t)length);
    pb_hasher_finish(hasher, &node->content);
    node->size = (uint64_t)length;
    node->flags |= PB_NODE_CONTENT | PB_NODE_XATTRS;
    return 0;
}

/* Take a file as it is now, after all: it has changed since its folder was read. */
static int look_again(pb_tree *tree, uint32_t index, int fd, pb_error *error)
{
    struct statx stat;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stat))
        return fail_at(tree, index, errno, "look at", error);
    if (!S_ISREG(stat.stx_mode))
        return changed(tree, index, error);
    pb_node_fill(&tree->nodes[index], &stat);
    atomic_fetch_add(&tree->linked, stat.stx_nlink > 1);
    return 0;
}

/* Hash a file; one that changes meanwhile is read again, then given up. */
static int hash_file(pb_tree *tree, uint32_t index, pb_hasher *hasher, uint64_t *bytes, pb_error *error)
{
    pb_node *node = &tree->nodes[index];

    for (int try = 0; try < TRIES; try++) {
        PB_CLOSE int fd = pb_tree_open_node(tree, index, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, error);
        pb_fingerprint content, xattrs;
        struct stat now;
        int64_t count;
        int failed;
        if (fd < 0)
            return not_opened(tree, index, fd, error);
        failed = try ? look_again(tree, index, fd, error) : 0;
        if (failed)
            return failed;
        failed = pb_xattr_fingerprint(fd, hasher, &xattrs);
        if (failed)
            return fail_at(tree, index, -failed, "read the attributes of", error);
        pb_hasher_reset(hasher);
        count = pb_hasher_read_most(hasher, fd, node->size);
        if (count == -EISDIR)
            return changed(tree, index, error);
        if (count < 0)
            return fail_at(tree, index, (int)-count, "read", error);
        pb_hasher_finish(hasher, &content);
        if (fstat(fd, &now))
            return fail_at(tree, index, errno, "look at", error);
        if (pb_tree_unchanged(tree, index, &now) && (uint64_t)count == node->size) {
            node->content = content;
            node->xattrs = xattrs;
            node->flags |= PB_NODE_CONTENT | PB_NODE_XATTRS;
            *bytes += (uint64_t)count;
            return 0;
        }
    }
    return changed(tree, index, error);
}

static void *work_through(void *argument)
{
    job *work = argument;
    PB_HASHER pb_hasher *hasher = NULL;
    uint64_t bytes = 0;
    int failed = pb_hasher_new(&work->tree->secret, &hasher);

    while (!failed && !atomic_load(&work->failed)) {
        size_t next = atomic_fetch_add(&work->next, 1);
        pb_error error;
        if (next >= work->count)
            break;
        pb_tree_pass(work->tree, next);
        if (S_ISLNK(work->tree->nodes[work->places[next].node].mode))
            failed = hash_link(work->tree, work->places[next].node, hasher, &error);
        else
            failed = hash_file(work->tree, work->places[next].node, hasher, &bytes, &error);
        if (failed) {
            pthread_mutex_lock(&work->lock);
            if (!atomic_load(&work->failed) && work->error)
                *work->error = error;
            atomic_store(&work->failed, -failed);
            pthread_mutex_unlock(&work->lock);
        }
    }
    pthread_mutex_lock(&work->lock);
    work->bytes += bytes;
    if (failed && !atomic_load(&work->failed)) {
        pb_fail(work->error, -failed, "hash", "%s", "");
        atomic_store(&work->failed, -failed);
    }
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

static int by_inode(const void *left, const void *right)
{
    const place *a = left, *b = right;
    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

int pb_tree_hash(pb_tree *tree, const uint32_t *nodes, size_t count, pb_error *error)
{
    PB_SPILL pb_spill room = {0};
    place *places;
    job work = {.tree = tree, .lock = PTHREAD_MUTEX_INITIALIZER, .error = error};
    pthread_t threads[THREADS];
    size_t wanted = 0;
    uint64_t bytes = 0;
    int started = 0;

    for (size_t i = 0; i < count; i++) {
        const pb_node *node = &tree->nodes[nodes[i]];
        int is_file = S_ISREG(node->mode);
        pb_tree_pass(tree, i);
        if (!is_file && !S_ISLNK(node->mode))
            continue;
        if ((node->flags & PB_NODE_CONTENT) && (!is_file || (node->flags & PB_NODE_XATTRS))) {
            tree->stats.files_known += is_file;
            continue;
        }
        tree->stats.files_hashed += is_file;
        bytes += node->size;
        if (pb_spill_grow(&room, (wanted + 1) * sizeof *places, -1))
            return pb_fail(error, ENOMEM, "hash", "%s", "");
        places = room.data;
        places[wanted++] = (place){node->inode, nodes[i]};
    }
    if (!wanted)
        return 0;
    places = room.data;
    qsort(places, wanted, sizeof *places, by_inode);
    work.places = places;
    work.count = wanted;
    if (wanted >= WORTH_A_THREAD || (wanted > 1 && bytes >= LARGE))
        while (started < THREADS - 1 && !pthread_create(&threads[started], NULL, work_through, &work))
            started++;
    work_through(&work);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    pthread_mutex_destroy(&work.lock);
    tree->stats.bytes_hashed += work.bytes;
    return -atomic_load(&work.failed);
}
