#include "copyfile.h"
#include "error.h"
#include "mode.h"
#include "stamp.h"
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* Smaller files are read and written: one buffer, two calls, whatever the file systems are. */
enum { WORTH_A_RANGE_COPY = 128 * 1024 };

/* --- attributes ------------------------------------------------------------------------------------------- */

int pb_set_times(int fd, int64_t time)
{
    struct timespec times[2];
    pb_stamp(time, times);
    return futimens(fd, times) ? -errno : 0;
}

static int final_mode(const pb_copier *copier, uint32_t mode, int is_directory, uint32_t *ret)
{
    *ret = mode & 07777;
    if (copier->options.mode >= 0)
        *ret = (uint32_t)copier->options.mode;
    else if (copier->options.symbolic_mode)
        return pb_mode_apply(copier->options.symbolic_mode, mode & 07777, is_directory, ret);
    return 0;
}

static void final_owner(const pb_copier *copier, const pb_node *node, uid_t *uid, gid_t *gid)
{
    *uid = copier->options.uid >= 0 ? (uid_t)copier->options.uid : node->uid;
    *gid = copier->options.gid >= 0 ? (gid_t)copier->options.gid : node->gid;
}

int pb_copy_xattrs(int source, int dest)
{
    PB_FREE char *names = NULL;
    PB_FREE char *value = NULL;
    size_t size;
    int failed = pb_xattr_list(source, &names, &size), refused = 0;

    if (failed || !size)
        return failed;
    value = malloc(65536);
    if (!value)
        return -ENOMEM;
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        ssize_t length = fgetxattr(source, name, value, 65536);
        if (length < 0)
            return -errno;
        if (!fsetxattr(dest, name, value, (size_t)length, 0))
            continue;
        if (errno != EOPNOTSUPP)
            return -errno;
        refused = 1;
    }
    return refused;
}

int pb_copy_attributes(pb_copier *copier, pb_tree *tree, uint32_t node, int source, int dest, const struct stat *now,
                       pb_error *error)
{
    static const pb_fingerprint none;
    const pb_node *from = &tree->nodes[node];
    PB_CLOSE int opened = -1;
    uid_t uid;
    gid_t gid;
    uint32_t mode;
    int failed, owned;

    final_owner(copier, from, &uid, &gid);
    failed = final_mode(copier, from->mode, S_ISDIR(from->mode), &mode);
    owned = now->st_uid == uid && now->st_gid == gid;
    if (!failed && !owned && fchown(dest, uid, gid))
        failed = -errno;
    if (!failed && (!owned || (now->st_mode & 07777) != mode) && fchmod(dest, mode))
        failed = -errno;
    if (!failed && !(from->flags & PB_NODE_XATTRS && !memcmp(&from->xattrs, &none, sizeof none))) {
        if (source < 0) {
            source = opened = pb_tree_open_node(tree, node, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, error);
            if (source < 0)
                return source;
        }
        failed = pb_copy_xattrs(source, dest);
    }
    return failed < 0 ? pb_fail(error, -failed, "set the attributes of", "%s", pb_tree_name(tree, node)) : failed;
}

/* --- data ------------------------------------------------------------------------------------------------------ */

/* Copy `size` bytes from where both descriptors stand. */
static int copy_range(pb_copier *copier, int source, int dest, uint64_t size)
{
    int in_kernel = size >= WORTH_A_RANGE_COPY;

    while (size) {
        ssize_t count;
        if (in_kernel) {
            count = copy_file_range(source, NULL, dest, NULL, size < (1 << 30) ? size : 1 << 30, 0);
            if (count < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS)) {
                in_kernel = 0;
                continue;
            }
        } else {
            count = read(source, copier->buffer, size < PB_COPY_BUFFER ? size : PB_COPY_BUFFER);
            if (count > 0) {
                int failed = pb_write_all(dest, copier->buffer, (size_t)count);
                if (failed)
                    return failed;
            }
        }
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (count == 0)
            return -ESTALE; /* shorter than it was */
        size -= (uint64_t)count;
    }
    return 0;
}

static int copy_data(pb_copier *copier, int source, int dest, const struct stat *stat)
{
    off_t size = stat->st_size, at = 0;

    if (stat->st_blocks * 512 >= size)
        return copy_range(copier, source, dest, (uint64_t)size);
    while (at < size) { /* holes stay holes */
        off_t data = lseek(source, at, SEEK_DATA), end;
        int failed;
        if (data < 0 && errno == ENXIO)
            break;
        if (data < 0)
            return -errno;
        end = lseek(source, data, SEEK_HOLE);
        if (end < 0 || lseek(source, data, SEEK_SET) < 0 || lseek(dest, data, SEEK_SET) < 0)
            return -errno;
        failed = copy_range(copier, source, dest, (uint64_t)(end - data));
        if (failed)
            return failed;
        at = end;
    }
    return ftruncate(dest, size) ? -errno : 0;
}

/* --- entries ------------------------------------------------------------------------------------------------------ */

/* Take away what is in a file's place, unless it is a directory. */
static int clear_place(pb_copier *copier, int dir_fd, const char *name, pb_error *error)
{
    struct stat stat;
    pb_link *taken;
    if (fstatat(dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : pb_fail(error, errno, "stat", "%s", name);
    if (S_ISDIR(stat.st_mode))
        return pb_fail_detail(error, EISDIR, "copy", name, "the destination has a directory there");
    if (unlinkat(dir_fd, name, 0))
        return pb_fail(error, errno, "replace", "%s", name);
    if (!copier->links.count)
        return 0;
    if (pb_linkmap_add(&copier->taken, stat.st_dev, stat.st_ino, "", TAKEN_NOT, NULL) < 0)
        return pb_fail(error, ENOMEM, "replace", "%s", name);
    taken = pb_linkmap_find(&copier->taken, stat.st_dev, stat.st_ino);
    taken->number = stat.st_nlink > 1 ? TAKEN_A_NAME : TAKEN_WHOLLY;
    return 0;
}

/* A new file, with those of the mode's bits that give no rights of its owner; a umask may take more of them. */
static int create(pb_copier *copier, int dir_fd, const char *name, uint32_t mode, pb_error *error)
{
    for (int try = 0;; try++) {
        int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode & 0777), failed;
        if (fd >= 0)
            return fd;
        if (errno != EEXIST || try > 2)
            return pb_fail(error, errno, "create", "%s", name);
        failed = clear_place(copier, dir_fd, name, error);
        if (failed)
            return failed;
    }
}

/* Note the hashes of a copy, as far as they are known: they are those of what it was copied from. */
static int note(pb_fact_list *facts, const pb_node *from, uint64_t inode, int64_t time)
{
    pb_fact fact = {.inode = inode, .size = from->size, .mtime = time, .content = from->content, .xattrs = from->xattrs};
    uint32_t both = PB_NODE_CONTENT | PB_NODE_XATTRS;
    return (from->flags & both) == both ? pb_fact_list_add(facts, &fact) : 0;
}

static int copy_file(pb_copier *copier, pb_tree *tree, uint32_t node, int source_dir, const pb_place *place, pb_error *error)
{
    const char *name = pb_tree_name(tree, node);
    PB_CLOSE int source = openat(source_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    PB_CLOSE int dest = -1;
    struct stat before, after, made;
    int64_t time = copier->options.time >= 0 ? copier->options.time : tree->nodes[node].mtime;
    uint32_t mode;
    int failed, refused;

    if (source < 0)
        return pb_fail(error, errno, "open", "%s", name);
    if (fstat(source, &before))
        return pb_fail(error, errno, "stat", "%s", name);
    failed = final_mode(copier, tree->nodes[node].mode, 0, &mode);
    if (failed)
        return pb_fail(error, -failed, "set the attributes of", "%s", name);
    dest = create(copier, place->dir_fd, place->name, mode, error);
    if (dest < 0)
        return dest;
    failed = fstat(dest, &made) ? -errno : S_ISREG(before.st_mode) ? copy_data(copier, source, dest, &before) : -ESTALE;
    if (!failed && fstat(source, &after))
        failed = -errno;
    if (!failed && !pb_tree_unchanged(tree, node, &after))
        failed = -ESTALE;
    if (failed == -ESTALE)
        return pb_fail_detail(error, ESTALE, "copy", name, "it changed while it was copied");
    if (failed)
        return pb_fail(error, -failed, "copy", "%s", name);
    refused = pb_copy_attributes(copier, tree, node, source, dest, &made, error);
    if (refused < 0)
        return refused;
    failed = pb_set_times(dest, time);
    if (failed)
        return pb_fail(error, -failed, "set the times of", "%s", name);
    if (copier->facts && !refused && note(copier->facts, &tree->nodes[node], made.st_ino, time))
        return pb_fail(error, ENOMEM, "copy", "%s", name);
    copier->result.files++;
    copier->result.bytes += (uint64_t)before.st_size;
    return 0;
}

static int set_link_attributes(const pb_copier *copier, const pb_node *node, const pb_place *place, int is_link)
{
    int64_t time = copier->options.time >= 0 ? copier->options.time : node->mtime;
    struct timespec times[2];
    uint32_t mode;
    uid_t uid;
    gid_t gid;
    int failed;

    pb_stamp(time, times);
    final_owner(copier, node, &uid, &gid);
    if (fchownat(place->dir_fd, place->name, uid, gid, AT_SYMLINK_NOFOLLOW))
        return -errno;
    if (!is_link) {
        failed = final_mode(copier, node->mode, 0, &mode);
        if (failed)
            return failed;
        if (fchmodat(place->dir_fd, place->name, mode, 0))
            return -errno;
    }
    return utimensat(place->dir_fd, place->name, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int copy_special(pb_copier *copier, pb_tree *tree, uint32_t node, int source_dir, const pb_place *place,
                        pb_error *error)
{
    const pb_node *from = &tree->nodes[node];
    const char *name = pb_tree_name(tree, node);
    int failed = clear_place(copier, place->dir_fd, place->name, error);

    if (failed)
        return failed;
    if (S_ISLNK(from->mode)) {
        char target[4097];
        ssize_t length = readlinkat(source_dir, name, target, sizeof target - 1);
        if (length < 0)
            return pb_fail(error, errno, "read link", "%s", name);
        target[length] = '\0';
        if (symlinkat(target, place->dir_fd, place->name))
            return pb_fail(error, errno, "link", "%s", name);
    } else if (S_ISCHR(from->mode) && from->rdev == 0) { /* an overlay's mark, which would hide what is below */
        return pb_fail(error, EPERM, "make device", "%s", name);
    } else if (mknodat(place->dir_fd, place->name, (from->mode & S_IFMT) | 0600, from->rdev)) {
        return pb_fail(error, errno, "make device", "%s", name);
    }
    failed = set_link_attributes(copier, from, place, S_ISLNK(from->mode));
    copier->result.links += S_ISLNK(from->mode);
    return failed ? pb_fail(error, -failed, "set the attributes of", "%s", name) : 0;
}

int pb_copy_entry(pb_copier *copier, pb_tree *tree, uint32_t node, int source_dir, const pb_place *place, pb_error *error)
{
    const pb_node *from = &tree->nodes[node];
    int failed, has_names = pb_copy_may_link(copier, from);

    if (S_ISSOCK(from->mode)) /* means nothing without the process that listens */
        return 0;
    if (has_names) {
        int linked;
        failed = clear_place(copier, place->dir_fd, place->name, error);
        if (failed)
            return failed;
        linked = pb_copy_link(copier, from, place);
        if (linked)
            return linked < 0 ? pb_fail(error, -linked, "link", "%s", place->name) : 0;
    }
    if (S_ISREG(from->mode))
        failed = copy_file(copier, tree, node, source_dir, place, error);
    else
        failed = copy_special(copier, tree, node, source_dir, place, error);
    if (!failed && has_names) {
        failed = pb_copy_remember(copier, from, place);
        if (failed)
            return pb_fail(error, -failed, "stat", "%s", place->name);
    }
    return failed;
}

int pb_copy_bytes(pb_copier *copier, const uint8_t *data, size_t size, int dir_fd, const char *name, uint32_t mode,
                  pb_error *error)
{
    PB_CLOSE int dest = create(copier, dir_fd, name, 0600, error);
    pb_node node = {.mode = S_IFREG | mode, .uid = 0, .gid = 0};
    uint32_t final;
    uid_t uid;
    gid_t gid;
    int failed;

    if (dest < 0)
        return dest;
    final_owner(copier, &node, &uid, &gid);
    failed = pb_write_all(dest, data, size);
    if (!failed && fchown(dest, uid, gid))
        failed = -errno;
    if (!failed)
        failed = final_mode(copier, mode, 0, &final);
    if (!failed && fchmod(dest, final))
        failed = -errno;
    if (!failed && copier->options.time >= 0)
        failed = pb_set_times(dest, copier->options.time);
    if (failed)
        return pb_fail(error, -failed, "write", "%s", name);
    copier->result.files++;
    copier->result.bytes += size;
    return 0;
}
