/* What a step changed, read from the upper directory of its overlay.
 *
 * The overlay writes more than changed: a directory above a change, a file whose mode was set to what it was. What equals the
 * lower view after all is dropped, so that a step that changes nothing has no layer. The rest is fingerprinted without
 * times: two runs of a step with the same outcome have the same fingerprint.
 */
#include "doubles.h"
#include "error.h"
#include "facts.h"
#include "linkmap.h"
#include "path.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

static const char *const OPAQUE[] = {"trusted.overlay.opaque", "user.overlay.opaque"};
static const char *const FOREIGN[] = {"trusted.overlay.redirect", "user.overlay.redirect", "trusted.overlay.metacopy",
                                      "user.overlay.metacopy"};

enum { PARENT_MISSING = 1, IS_OPAQUE = 2 };

typedef struct {
    pb_tree *tree;
    int upper_fd, lower_fd;
    pb_hasher *hasher;
    pb_facts *known; /* or NULL */
    pb_nodes list;
    uint8_t *marks; /* for each node of the list */
    uint64_t dropped;
} settling;

static int is_whiteout(const pb_node *node)
{
    return S_ISCHR(node->mode) && node->rdev == 0;
}

/* 1 with the stat data of the same path in the lower view, 0 if there is nothing. */
static int lower_stat(const settling *work, const char *path, struct stat *ret)
{
    PB_CLOSE int fd = -1;
    if (work->lower_fd < 0)
        return 0;
    fd = pb_path_open_below(work->lower_fd, path, O_PATH | O_NOFOLLOW);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
        return 0;
    if (fd < 0)
        return fd;
    return fstat(fd, ret) ? -errno : 1;
}

static int same_metadata(const pb_node *node, const struct stat *lower, int with_time)
{
    return node->mode == lower->st_mode && node->uid == lower->st_uid && node->gid == lower->st_gid &&
           ((!S_ISCHR(node->mode) && !S_ISBLK(node->mode)) || node->rdev == lower->st_rdev) &&
           (S_ISDIR(node->mode) || node->size == (S_ISREG(node->mode) || S_ISLNK(node->mode) ? (uint64_t)lower->st_size : 0)) &&
           (!with_time || node->mtime == lower->st_mtim.tv_sec * INT64_C(1000000000) + lower->st_mtim.tv_nsec);
}

/* 1 if contents and attributes are those of the lower entry, whose stat data are the same. */
static int same_inside(settling *work, uint32_t index, const char *path)
{
    const pb_node *node = &work->tree->nodes[index];
    int flags = S_ISLNK(node->mode) ? O_PATH | O_NOFOLLOW : O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    PB_CLOSE int upper = -1, lower = -1;
    pb_fingerprint a, b;
    int failed;

    if (!S_ISREG(node->mode) && !S_ISLNK(node->mode) && !S_ISDIR(node->mode))
        return 1;
    upper = pb_path_open_below(work->upper_fd, path, flags);
    lower = pb_path_open_below(work->lower_fd, path, flags);
    if (upper < 0 || lower < 0)
        return upper < 0 ? upper : lower;
    if (S_ISLNK(node->mode)) {
        char left[4097], right[4097];
        ssize_t count = readlinkat(upper, "", left, sizeof left);
        return count >= 0 && readlinkat(lower, "", right, sizeof right) == count && !memcmp(left, right, (size_t)count);
    }
    failed = pb_xattr_fingerprint(upper, work->hasher, &a);
    if (!failed)
        failed = pb_xattr_fingerprint(lower, work->hasher, &b);
    if (failed || memcmp(&a, &b, sizeof a))
        return failed;
    if (S_ISDIR(node->mode))
        return 1;
    for (int i = 0; i < 2; i++) {
        int64_t count;
        pb_hasher_reset(work->hasher);
        count = pb_hasher_read(work->hasher, i ? lower : upper);
        if (count < 0)
            return (int)count;
        pb_hasher_finish(work->hasher, i ? &b : &a);
    }
    return !memcmp(&a, &b, sizeof a);
}

static int read_marks(settling *work, uint32_t node, uint8_t *marks, pb_error *error)
{
    PB_CLOSE int fd = pb_tree_open_node(work->tree, node, O_RDONLY | O_DIRECTORY, error);
    char value[8];

    if (fd < 0)
        return fd;
    for (size_t i = 0; i < 2; i++)
        if (fgetxattr(fd, OPAQUE[i], value, sizeof value) > 0 && value[0] == 'y')
            *marks |= IS_OPAQUE;
    for (size_t i = 0; i < 4; i++)
        if (fgetxattr(fd, FOREIGN[i], NULL, 0) >= 0)
            return pb_fail_detail(error, EOPNOTSUPP, "read the changes of", pb_tree_name(work->tree, node),
                                  "the overlay has a mark (%s) that this program never asks for", FOREIGN[i]);
    return 0;
}

static int drop(settling *work, uint32_t node, const char *path, pb_error *error)
{
    const char *name = pb_tree_name(work->tree, node);
    PB_CLOSE int folder = pb_tree_open_node(work->tree, work->tree->nodes[node].parent, O_RDONLY | O_DIRECTORY, error);

    if (folder < 0)
        return folder;
    if (unlinkat(folder, name, S_ISDIR(work->tree->nodes[node].mode) ? AT_REMOVEDIR : 0))
        return pb_fail(error, errno, "drop", "%s", path);
    work->tree->nodes[node].flags |= PB_NODE_GONE;
    work->dropped++;
    return 0;
}

/* A mark that hides nothing is no change. */
static int drop_opaque(settling *work, uint32_t node, const char *path, pb_error *error)
{
    PB_CLOSE int fd = pb_tree_open_node(work->tree, node, O_RDONLY | O_DIRECTORY, error);
    if (fd < 0)
        return fd;
    for (size_t i = 0; i < 2; i++)
        if (fremovexattr(fd, OPAQUE[i]) && errno != ENODATA && errno != EOPNOTSUPP && errno != EPERM)
            return pb_fail(error, errno, "drop the mark of", "%s", path);
    return 0;
}

/* Judge one entry (parents first). What is new in full, below a folder that the lower view lacks, needs no look at it. */
static int judge(settling *work, size_t at, size_t parent, pb_error *error)
{
    uint32_t index = work->list.items[at];
    const pb_node *node = &work->tree->nodes[index];
    PB_FREE char *path = pb_tree_path(work->tree, index);
    int is_new = work->marks[parent] & (PARENT_MISSING | IS_OPAQUE), found = 0, same;
    struct stat lower;

    if (!path)
        return pb_fail(error, ENOMEM, "settle", "%s", "");
    if (S_ISDIR(node->mode)) {
        int failed = read_marks(work, index, &work->marks[at], error);
        if (failed)
            return failed;
    }
    if (!is_new) {
        found = lower_stat(work, path, &lower);
        if (found < 0)
            return pb_fail(error, -found, "compare", "%s", path);
    }
    if (S_ISDIR(node->mode)) {
        if (!found || !S_ISDIR(lower.st_mode)) {
            work->marks[at] |= PARENT_MISSING;
            if (work->marks[at] & IS_OPAQUE && !found) {
                work->marks[at] &= (uint8_t)~IS_OPAQUE;
                return drop_opaque(work, index, path, error);
            }
        }
        return 0; /* whether it stays is known when its contents are */
    }
    if (is_whiteout(node))
        return found ? 0 : drop(work, index, path, error);
    if (!found || node->nlink > 1 || !same_metadata(node, &lower, 1))
        return 0;
    same = same_inside(work, index, path);
    if (same < 0)
        return pb_fail(error, -same, "compare", "%s", path);
    return same ? drop(work, index, path, error) : 0;
}

/* Drop directories that nothing is left in and that differ from the lower ones in nothing but their times. */
static int drop_folders(settling *work, pb_error *error)
{
    for (size_t at = work->list.count; at-- > 1;) {
        uint32_t index = work->list.items[at], kept = 0;
        const pb_node *node = &work->tree->nodes[index];
        PB_FREE char *path = NULL;
        struct stat lower;
        int found, same, failed;
        pb_tree_pass(work->tree, at);
        if (!S_ISDIR(node->mode) || work->marks[at] & (PARENT_MISSING | IS_OPAQUE))
            continue;
        for (uint32_t i = 0; i < node->child_count; i++)
            kept += !(work->tree->nodes[node->first_child + i].flags & PB_NODE_GONE);
        if (kept)
            continue;
        path = pb_tree_path(work->tree, index);
        if (!path)
            return pb_fail(error, ENOMEM, "settle", "%s", "");
        found = lower_stat(work, path, &lower);
        same = found > 0 && same_metadata(node, &lower, 0) ? same_inside(work, index, path) : found;
        if (found > 0 && !same_metadata(node, &lower, 0))
            same = 0;
        if (same < 0)
            return pb_fail(error, -same, "compare", "%s", path);
        if (!same)
            continue;
        failed = drop(work, index, path, error);
        if (failed)
            return failed;
    }
    return 0;
}

/* The files with several names among the changes: for each of the list the ordinal of the first of its names, 0 for a file that
 * has one name here. (It may have more elsewhere: snapshots share files.) NULL if none has several. */
static int find_groups(const settling *work, uint64_t **ret)
{
    PB_DOUBLES pb_doubles doubles = {0};
    pb_linkmap links = {0};
    uint64_t *groups = NULL;
    int failed = pb_doubles_find(work->tree, &work->list, &doubles);

    for (size_t i = 1; !failed && i < work->list.count; i++) {
        const pb_node *node = &work->tree->nodes[work->list.items[i]];
        const pb_link *first;
        int known;
        pb_tree_pass(work->tree, i);
        if (S_ISDIR(node->mode) || node->nlink < 2 || !pb_doubles_have(&doubles, node))
            continue;
        if (!groups)
            groups = calloc(work->list.count, sizeof *groups);
        known = groups ? pb_linkmap_add(&links, node->device, node->inode, "", i, &first) : -ENOMEM;
        if (known > 0)
            groups[i] = groups[first->number] = first->number;
        failed = known < 0 ? known : 0;
    }
    pb_linkmap_free(&links);
    *ret = groups;
    return failed;
}

/* Keep what is known of the files now, and nothing else. */
static int learn(pb_facts *known, const pb_tree *tree, const pb_nodes *nodes)
{
    int failed = 0;

    pb_facts_clear(known); /* its room stays: of a million files two lists would be a lot */
    for (size_t i = 0; !failed && i < nodes->count; i++) {
        const pb_node *node = &tree->nodes[nodes->items[i]];
        pb_fact fact = {node->inode, node->size, node->mtime, node->content, node->xattrs};
        pb_tree_pass(tree, i);
        if (S_ISREG(node->mode))
            failed = pb_facts_add(known, &fact, 1);
    }
    return failed;
}

/* The hashes of all that is left: those that are known, and the others from the files. */
static int find_hashes(settling *work, pb_error *error)
{
    pb_tree *tree = work->tree;
    pb_nodes left = {work->list.items + 1, work->list.count - 1, 0};
    int failed;

    for (size_t i = 0; work->known && i < left.count; i++) {
        pb_tree_pass(tree, i);
        if (S_ISREG(tree->nodes[left.items[i]].mode))
            pb_facts_recall(work->known, &tree->nodes[left.items[i]]);
    }
    failed = pb_tree_hash(tree, left.items, left.count, error);
    if (!failed && work->known && learn(work->known, tree, &left))
        return pb_fail(error, ENOMEM, "settle", "%s", "");
    return failed;
}

/* Take what was dropped out of the list. */
static void forget_dropped(settling *work)
{
    size_t kept = 1;

    for (size_t i = 1; i < work->list.count; i++) {
        pb_tree_pass(work->tree, i);
        if (work->tree->nodes[work->list.items[i]].flags & PB_NODE_GONE)
            continue;
        work->list.items[kept] = work->list.items[i];
        work->marks[kept++] = work->marks[i];
    }
    work->list.count = kept;
}

static int hash_entry(settling *work, size_t item, uint64_t group)
{
    const pb_node *node = &work->tree->nodes[work->list.items[item]];
    PB_FREE char *path = pb_tree_path(work->tree, work->list.items[item]);

    if (!path)
        return -ENOMEM;
    pb_hasher_text(work->hasher, path, strlen(path));
    pb_hasher_number(work->hasher, S_ISLNK(node->mode) ? S_IFLNK : node->mode);
    pb_hasher_number(work->hasher, node->uid);
    pb_hasher_number(work->hasher, node->gid);
    pb_hasher_number(work->hasher, node->size);
    pb_hasher_number(work->hasher, S_ISCHR(node->mode) || S_ISBLK(node->mode) ? node->rdev : 0);
    pb_hasher_number(work->hasher, group);
    pb_hasher_number(work->hasher, work->marks[item] & IS_OPAQUE);
    pb_hasher_update(work->hasher, node->content.bytes, sizeof node->content.bytes);
    pb_hasher_update(work->hasher, node->xattrs.bytes, sizeof node->xattrs.bytes);
    return 0;
}

static int fingerprint(settling *work, pb_changes *ret, pb_error *error)
{
    PB_FREE uint64_t *groups = NULL;
    int failed;

    if (work->dropped)
        forget_dropped(work);
    failed = find_hashes(work, error);
    if (failed)
        return failed;
    failed = find_groups(work, &groups);
    pb_hasher_reset(work->hasher);
    for (size_t i = 1; !failed && i < work->list.count; i++) {
        const pb_node *node = &work->tree->nodes[work->list.items[i]];
        uint64_t group = groups ? groups[i] : 0;
        pb_tree_pass(work->tree, i);
        failed = hash_entry(work, i, group);
        ret->bytes += S_ISREG(node->mode) && (!group || group == i) ? node->size : 0;
    }
    if (failed)
        return pb_fail(error, -failed, "settle", "%s", "");
    pb_hasher_finish(work->hasher, &ret->fingerprint);
    ret->entries = work->list.count - 1;
    ret->dropped = work->dropped;
    ret->hashed = work->tree->stats.bytes_hashed;
    return 0;
}

static int settle(settling *work, const pb_secret *secret, pb_changes *ret, pb_error *error)
{
    size_t parent = 0;
    int failed = pb_hasher_new(secret, &work->hasher);

    if (failed)
        return pb_fail(error, -failed, "settle", "%s", "");
    failed = pb_tree_open(work->upper_fd, NULL, secret, NULL, work->upper_fd, &work->tree, error);
    if (!failed)
        failed = pb_tree_read_all(work->tree, 0, error);
    if (!failed)
        failed = pb_tree_collect(work->tree, 0, NULL, &work->list, error);
    if (failed)
        return failed;
    work->marks = calloc(work->list.count + 1, 1);
    if (!work->marks)
        return pb_fail(error, ENOMEM, "settle", "%s", "");
    work->marks[0] = work->lower_fd < 0 ? PARENT_MISSING : 0;
    for (size_t i = 1; i < work->list.count; i++) {
        while (work->list.items[parent] != work->tree->nodes[work->list.items[i]].parent)
            parent++; /* the list has the children of its items in the order of the items */
        pb_tree_pass(work->tree, i);
        failed = judge(work, i, parent, error);
        if (failed)
            return failed;
    }
    failed = drop_folders(work, error);
    return failed ? failed : fingerprint(work, ret, error);
}

int pb_upper_settle(int upper_fd, int lower_fd, const pb_secret *secret, pb_facts *known, pb_changes *ret, pb_error *error)
{
    settling work = {.upper_fd = upper_fd, .lower_fd = lower_fd, .known = known && pb_facts_fits(known, secret) ? known : NULL};
    pb_changes changes = {0};
    int failed = settle(&work, secret, &changes, error);

    pb_tree_free(work.tree);
    pb_hasher_free(work.hasher);
    free(work.list.items);
    free(work.marks);
    if (!failed)
        *ret = changes;
    return failed;
}
