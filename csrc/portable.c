/* Selections of a tree by SHA-256, the same on every machine. What has a known fingerprint is not read again: of a tree in which
 * one file changed, that file is hashed and the folders above it. */
#include "doubles.h"
#include "error.h"
#include "known.h"
#include "linkmap.h"
#include "sha256.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/xattr.h>

enum { THREADS = 2, WORTH_A_THREAD = 16, READ_SIZE = 256 * 1024, LONGEST_VALUE = 65536 };
static const uint64_t SEVERAL = UINT64_C(1) << 63;

typedef struct {
    pb_tree *tree;
    pb_known *known;
    int flags;
    pb_nodes list;
    pb_fingerprint *merkle; /* of the folders of the list */
    pb_digest *digests;     /* of what each item of the list holds */
    pb_digest *xattrs;
    uint64_t *groups; /* for PB_CHANGES: which names are one file */
    uint8_t *state;   /* for each item: */
    uint8_t *opaque;
    uint32_t *wanted; /* items whose content has to be read */
    size_t wanted_count;
    atomic_size_t next;
    atomic_int failed;
    pthread_mutex_t lock;
    pb_error *error;
    uint64_t bytes;
} selection;

enum { TO_DO, DONE, BELOW_DONE };

/* What a folder's fingerprint is known by: an empty folder and an empty file would share one. */
static pb_fingerprint of_folder(const pb_fingerprint *merkle)
{
    pb_fingerprint marked = *merkle;
    for (size_t i = 0; i < sizeof marked.bytes; i++)
        marked.bytes[i] ^= 0xa5;
    return marked;
}

/* What was fingerprinted is gone, or something else stands there by now. */
static int is_another(int code)
{
    return code == ENOENT || code == ENOTDIR || code == ELOOP || code == ENXIO || code == EISDIR || code == ESTALE;
}

static int fail_at(const selection *work, uint32_t item, int code, const char *operation, pb_error *error)
{
    PB_FREE char *path = pb_tree_path(work->tree, work->list.items[item]);
    if (is_another(code))
        return pb_fail_detail(error, ESTALE, "read", path ? path : "", "it changed while it was read");
    return pb_fail(error, code, operation, "%s", path ? path : "");
}

static int has_xattrs(const pb_node *node)
{
    static const pb_fingerprint none;
    return memcmp(&node->xattrs, &none, sizeof none) != 0;
}

/* --- contents ------------------------------------------------------------------------------------------------- */

int pb_digest_xattrs(int fd, pb_digest *ret)
{
    PB_FREE char *names = NULL, *buffer = malloc(LONGEST_VALUE);
    pb_sha256 hash;
    size_t size;
    int failed = buffer ? pb_xattr_list(fd, &names, &size) : -ENOMEM;

    if (failed)
        return failed;
    pb_sha256_reset(&hash);
    for (size_t at = 0; at < size; at += strlen(names + at) + 1) {
        ssize_t length = fgetxattr(fd, names + at, buffer, LONGEST_VALUE);
        if (length < 0)
            return -errno;
        pb_sha256_text(&hash, names + at, strlen(names + at));
        pb_sha256_text(&hash, buffer, (size_t)length);
    }
    pb_sha256_finish(&hash, ret->bytes);
    return 0;
}

static int digest_link(selection *work, uint32_t item, pb_error *error)
{
    char target[4097];
    PB_CLOSE int fd = pb_tree_open_node(work->tree, work->list.items[item], O_PATH | O_NOFOLLOW, error);
    pb_sha256 hash;
    struct stat now;
    ssize_t length;

    if (fd < 0)
        return is_another(-fd) ? fail_at(work, item, -fd, "open", error) : fd;
    length = readlinkat(fd, "", target, sizeof target);
    if (length < 0)
        return fail_at(work, item, errno == EINVAL ? ESTALE : errno, "read link", error);
    if (fstat(fd, &now))
        return fail_at(work, item, errno, "look at", error);
    if (!pb_tree_unchanged(work->tree, work->list.items[item], &now))
        return fail_at(work, item, ESTALE, "read", error);
    pb_sha256_reset(&hash);
    pb_sha256_update(&hash, target, (size_t)length);
    pb_sha256_finish(&hash, work->digests[item].bytes);
    return 0;
}

static int digest_bytes(int fd, uint64_t size, uint8_t *buffer, pb_digest *ret)
{
    uint64_t done = 0;
    pb_sha256 hash;

    pb_sha256_reset(&hash);
    while (done < size) {
        ssize_t count = read(fd, buffer, size - done < READ_SIZE ? size - done : READ_SIZE);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (!count)
            return -ESTALE;
        pb_sha256_update(&hash, buffer, (size_t)count);
        done += (uint64_t)count;
    }
    pb_sha256_finish(&hash, ret->bytes);
    return 0;
}

/* Read a file or folder again for what XXH3 has no part in. It must still be what it was when it was fingerprinted. */
static int digest_item(selection *work, uint32_t item, uint8_t *buffer, uint64_t *bytes, pb_error *error)
{
    const pb_node *node = &work->tree->nodes[work->list.items[item]];
    int is_file = S_ISREG(node->mode), failed = 0;
    PB_CLOSE int fd = -1;
    struct stat now;

    if (S_ISLNK(node->mode))
        return digest_link(work, item, error);
    fd = pb_tree_open_node(work->tree, work->list.items[item], O_RDONLY | O_NOFOLLOW | O_NONBLOCK, error);
    if (fd < 0)
        return is_another(-fd) ? fail_at(work, item, -fd, "open", error) : fd;
    if (is_file && work->state[item] != DONE) {
        failed = digest_bytes(fd, node->size, buffer, &work->digests[item]);
        if (failed)
            return fail_at(work, item, -failed, "read", error);
        *bytes += node->size;
    }
    if (has_xattrs(node))
        failed = pb_digest_xattrs(fd, &work->xattrs[item]);
    if (failed)
        return fail_at(work, item, -failed, "read the attributes of", error);
    if (fstat(fd, &now))
        return fail_at(work, item, errno, "look at", error);
    return is_file && !pb_tree_unchanged(work->tree, work->list.items[item], &now)
               ? fail_at(work, item, ESTALE, "read", error)
               : 0;
}

static void *work_through(void *argument)
{
    selection *work = argument;
    PB_FREE uint8_t *buffer = malloc(READ_SIZE);
    uint64_t bytes = 0;

    while (!atomic_load(&work->failed)) {
        size_t next = atomic_fetch_add(&work->next, 1);
        pb_error error;
        int failed;
        if (next >= work->wanted_count)
            break;
        failed = buffer ? digest_item(work, work->wanted[next], buffer, &bytes, &error) : pb_fail(&error, ENOMEM, "hash", "%s", "");
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
    pthread_mutex_unlock(&work->lock);
    return NULL;
}

static int read_contents(selection *work)
{
    pthread_t threads[THREADS];
    int started = 0;

    pthread_mutex_init(&work->lock, NULL);
    if (work->wanted_count >= WORTH_A_THREAD)
        while (started < THREADS - 1 && !pthread_create(&threads[started], NULL, work_through, work))
            started++;
    work_through(work);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    pthread_mutex_destroy(&work->lock);
    return -atomic_load(&work->failed);
}

/* --- the selection ---------------------------------------------------------------------------------------------- */

/* Which items have to be read. Below a folder whose digest is known nothing has. */
static void find_wanted(selection *work)
{
    size_t parent = 0;

    for (uint32_t i = 0; i < work->list.count; i++) {
        const pb_node *node = &work->tree->nodes[work->list.items[i]];
        const pb_digest *digest = NULL;
        int is_folder = S_ISDIR(node->mode);
        if (i) {
            while (work->list.items[parent] != node->parent)
                parent++; /* the list has the children of its items in the order of the items */
            if (S_ISDIR(work->tree->nodes[node->parent].mode) && work->state[parent] != TO_DO) {
                work->state[i] = BELOW_DONE;
                continue;
            }
        }
        if (is_folder && !(work->flags & PB_CHANGES)) {
            pb_fingerprint marked = of_folder(&work->merkle[i]);
            digest = pb_known_find(work->known, &marked);
        } else if (S_ISREG(node->mode)) {
            digest = pb_known_find(work->known, &node->content);
        }
        if (digest) {
            work->digests[i] = *digest;
            work->state[i] = DONE;
        }
        if ((!digest && !is_folder && (S_ISREG(node->mode) || S_ISLNK(node->mode))) || has_xattrs(node))
            work->wanted[work->wanted_count++] = i;
    }
}

/* Opaque marks, and names of one file: each has the ordinal of the first of them; a file with one name has 0. */
static int look_at_changes(selection *work, pb_error *error)
{
    static const char *const marks[] = {"trusted.overlay.opaque", "user.overlay.opaque"};
    pb_linkmap links = {0};
    PB_DOUBLES pb_doubles doubles = {0};
    int failed = pb_doubles_find(work->tree, &work->list, &doubles);

    for (uint32_t i = 1; !failed && i < work->list.count; i++) {
        const pb_node *node = &work->tree->nodes[work->list.items[i]];
        const pb_link *first;
        if (S_ISDIR(node->mode)) {
            PB_CLOSE int fd = pb_tree_open_node(work->tree, work->list.items[i], O_RDONLY | O_DIRECTORY, error);
            char value[8];
            if (fd < 0) {
                pb_linkmap_free(&links);
                return fd;
            }
            for (size_t k = 0; k < 2; k++)
                if (fgetxattr(fd, marks[k], value, sizeof value) > 0 && value[0] == 'y')
                    work->opaque[i] = 1;
        } else if (node->nlink > 1 && pb_doubles_have(&doubles, node)) {
            int known = pb_linkmap_add(&links, node->device, node->inode, "", i, &first);
            work->groups[i] = i;
            if (known > 0) {
                work->groups[first->number] |= SEVERAL;
                work->groups[i] = work->groups[first->number];
            }
            failed = known < 0 ? known : 0;
        }
    }
    pb_linkmap_free(&links);
    for (uint32_t i = 1; i < work->list.count; i++)
        if (work->groups[i]) /* pages that nobody wrote to take no memory */
            work->groups[i] = work->groups[i] & SEVERAL ? work->groups[i] & ~SEVERAL : 0;
    return failed ? pb_fail(error, -failed, "hash", "%s", "") : 0;
}

/* One entry without its name: as `hash_entry` of select.c, and whether it is opaque and which file it is one name of. */
static void hash_entry(const selection *work, uint32_t item, pb_sha256 *hash)
{
    const pb_node *node = &work->tree->nodes[work->list.items[item]];
    int without_owner = work->flags & PB_WITHOUT_OWNER, is_device = S_ISCHR(node->mode) || S_ISBLK(node->mode);

    pb_sha256_number(hash, S_ISLNK(node->mode) ? S_IFLNK : node->mode);
    pb_sha256_number(hash, without_owner ? 0 : node->uid);
    pb_sha256_number(hash, without_owner ? 0 : node->gid);
    pb_sha256_number(hash, S_ISDIR(node->mode) ? 0 : node->size);
    pb_sha256_number(hash, is_device ? node->rdev : 0);
    pb_sha256_number(hash, (uint64_t)work->flags);
    pb_sha256_number(hash, work->opaque[item]);
    pb_sha256_number(hash, work->groups[item]);
    pb_sha256_update(hash, work->digests[item].bytes, sizeof work->digests[item].bytes);
    pb_sha256_update(hash, work->xattrs[item].bytes, sizeof work->xattrs[item].bytes);
}

/* The digests of folders, the deepest first, and what of all is new to `known`. */
static int digest_folders(selection *work)
{
    PB_FREE uint32_t *first = pb_tree_ranges(work->tree, &work->list);
    int failed = 0;

    if (!first)
        return -ENOMEM;
    for (uint32_t i = (uint32_t)work->list.count; !failed && i-- > 0;) {
        const pb_node *node = &work->tree->nodes[work->list.items[i]];
        pb_fingerprint fingerprint = node->content;
        pb_sha256 hash;
        if (work->state[i] != TO_DO)
            continue;
        if (S_ISDIR(node->mode)) {
            pb_sha256_reset(&hash);
            for (uint32_t k = first[i]; k < first[i + 1]; k++) {
                const char *name = pb_tree_name(work->tree, work->list.items[k]);
                pb_sha256_text(&hash, name, strlen(name));
                hash_entry(work, k, &hash);
            }
            pb_sha256_finish(&hash, work->digests[i].bytes);
            fingerprint = of_folder(&work->merkle[i]);
        }
        if (S_ISREG(node->mode) || (S_ISDIR(node->mode) && !(work->flags & PB_CHANGES)))
            failed = pb_known_add(work->known, &fingerprint, &work->digests[i]);
    }
    return failed;
}

static int select_and_hash(selection *work, uint32_t node, const pb_ignore *exclude, pb_error *error)
{
    int failed = pb_tree_digest(work->tree, node, exclude, work->flags & PB_WITHOUT_OWNER, &work->list, &work->merkle, error);
    size_t count = work->list.count + 1;

    if (failed)
        return failed;
    work->digests = calloc(count, sizeof *work->digests);
    work->xattrs = calloc(count, sizeof *work->xattrs);
    work->groups = calloc(count, sizeof *work->groups);
    work->wanted = calloc(count, sizeof *work->wanted);
    work->state = calloc(count, 1);
    work->opaque = calloc(count, 1);
    if (!work->digests || !work->xattrs || !work->groups || !work->wanted || !work->state || !work->opaque)
        return pb_fail(error, ENOMEM, "hash", "%s", "");
    find_wanted(work);
    failed = work->flags & PB_CHANGES ? look_at_changes(work, error) : 0;
    if (!failed)
        failed = read_contents(work);
    if (failed)
        return failed;
    failed = digest_folders(work);
    return failed ? pb_fail(error, -failed, "hash", "%s", "") : 0;
}

int pb_tree_portable(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_known *known, pb_digest *ret,
                     uint64_t *hashed, pb_error *error)
{
    selection work = {.tree = tree, .known = known, .flags = flags, .error = error};
    pb_sha256 hash;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "hash", "node %u", node);
    failed = select_and_hash(&work, node, exclude, error);
    if (!failed) {
        pb_sha256_reset(&hash);
        if (work.list.count && !(flags & PB_CHANGES)) /* a layer says nothing of the root itself */
            hash_entry(&work, 0, &hash);
        pb_sha256_finish(&hash, ret->bytes);
        if (work.list.count && (flags & PB_CHANGES))
            *ret = work.digests[0];
        *hashed = work.bytes;
    }
    free(work.list.items);
    free(work.merkle);
    free(work.digests);
    free(work.xattrs);
    free(work.groups);
    free(work.wanted);
    free(work.state);
    free(work.opaque);
    return failed;
}
