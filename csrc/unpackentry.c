/* The kinds of entries, each put in its place: `folder` is open, `name` in it and `path` from the root are clean. */
#include "copyfile.h"
#include "error.h"
#include "path.h"
#include "stamp.h"
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static int mark_opaque(const pb_unpacker *unpacker, int folder, const char *name)
{
    const char *mark = unpacker->flags & PB_UNTAR_USERXATTR ? "user.overlay.opaque" : "trusted.overlay.opaque";
    PB_CLOSE int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsetxattr(fd, mark, "y", 1, 0) ? -errno : 0;
}

static int is_whiteout(const struct stat *stat)
{
    return S_ISCHR(stat->st_mode) && stat->st_rdev == 0;
}

int pb_unpack_whiteout(const pb_unpacker *unpacker, int folder, const char *name)
{
    struct stat stat;

    if (!strcmp(name, ".wh..wh..opq"))
        return mark_opaque(unpacker, folder, ".");
    if (!strncmp(name, ".wh..wh.", 8)) /* aufs kept its own things under such names */
        return 0;
    name += 4;
    if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
        return -EBADMSG;
    if (!fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW))
        return S_ISDIR(stat.st_mode) ? mark_opaque(unpacker, folder, name) : 0;
    return mknodat(folder, name, S_IFCHR, makedev(0, 0)) ? -errno : 0;
}

/* --- entries ----------------------------------------------------------------------------------------------------- */

/* Make room for an entry: 1 if a directory is there that stays, 2 if a whiteout was there. */
static int clear_place(pb_unpacker *unpacker, int folder, const char *name, int for_directory, pb_error *error)
{
    struct stat stat;
    int was_whiteout;

    if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : pb_fail(error, errno, "unpack", "%s", name);
    if (S_ISDIR(stat.st_mode) && for_directory)
        return 1;
    was_whiteout = unpacker->flags & PB_UNTAR_LAYER && is_whiteout(&stat);
    if (S_ISDIR(stat.st_mode)) {
        int copy = fcntl(folder, F_DUPFD_CLOEXEC, 3), failed;
        if (copy < 0)
            return pb_fail(error, errno, "unpack", "%s", name);
        failed = pb_remove_tree(copy, name, error);
        close(copy);
        unpacker->stale = 1;
        return failed;
    }
    if (unlinkat(folder, name, 0))
        return pb_fail(error, errno, "replace", "%s", name);
    return was_whiteout ? 2 : 0;
}

static int put_xattrs(int fd, const pb_tar_member *entry)
{
    const uint8_t *at = entry->xattrs, *end = entry->xattrs + entry->xattrs_size;
    while (at < end) {
        const char *name = (const char *)at;
        uint32_t length;
        at += strlen(name) + 1;
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        if (pb_xattr_matters(name) && fsetxattr(fd, name, at, length, 0) && errno != EOPNOTSUPP && errno != EPERM)
            return -errno;
        at += length;
    }
    return 0;
}

/* Of a part: a folder that is there has the attributes that the part says, and no others. */
static int drop_xattrs(int fd)
{
    PB_FREE char *names = NULL;
    size_t size;
    int failed = pb_xattr_list(fd, &names, &size);

    for (const char *name = names; !failed && name < names + size; name += strlen(name) + 1)
        if (fremovexattr(fd, name) && errno != ENODATA && errno != EOPNOTSUPP && errno != EPERM)
            failed = -errno;
    return failed;
}

static uid_t owner(const pb_unpacker *unpacker, const pb_tar_member *entry)
{
    return unpacker->uid >= 0 ? (uid_t)unpacker->uid : (uid_t)entry->uid;
}

static gid_t group(const pb_unpacker *unpacker, const pb_tar_member *entry)
{
    return unpacker->gid >= 0 ? (gid_t)unpacker->gid : (gid_t)entry->gid;
}

/* To look is cheaper than to set. */
int pb_unpack_attributes(const pb_unpacker *unpacker, int fd, const pb_tar_member *entry)
{
    uid_t uid = owner(unpacker, entry);
    gid_t gid = group(unpacker, entry);
    struct stat now;
    int owned;

    if (fstat(fd, &now))
        return -errno;
    owned = now.st_uid == uid && now.st_gid == gid;
    if (!owned && fchown(fd, uid, gid))
        return -errno;
    if ((!owned || (now.st_mode & 07777) != entry->mode) && fchmod(fd, entry->mode))
        return -errno;
    return put_xattrs(fd, entry);
}

int pb_unpack_create(pb_unpacker *unpacker, int folder, const char *name, const char *path, uint32_t mode, pb_error *error)
{
    for (int try = 0; try < 2; try++) {
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777), place;
        if (fd >= 0)
            return fd;
        if (errno != EEXIST)
            break;
        place = clear_place(unpacker, folder, name, 0, error);
        if (place < 0)
            return place;
    }
    return pb_fail(error, errno, "create", "%s", path);
}

int pb_unpack_removal(const pb_unpacker *unpacker, const char *folder, const char *name, pb_error *error)
{
    PB_CLOSE int fd = pb_path_open(unpacker->root_fd, folder, O_RDONLY | O_DIRECTORY, 0);
    struct stat stat;

    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR ? 0 : pb_fail(error, -fd, "remove", "%s/%s", folder, name);
    if (fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : pb_fail(error, errno, "remove", "%s/%s", folder, name);
    if (S_ISDIR(stat.st_mode))
        return pb_remove_tree(fd, name, error);
    return unlinkat(fd, name, 0) ? pb_fail(error, errno, "remove", "%s/%s", folder, name) : 0;
}

int pb_unpack_folder(pb_unpacker *unpacker, const pb_tar_member *entry, int folder, const char *name, const char *path,
                      pb_error *error)
{
    int there = clear_place(unpacker, folder, name, 1, error), failed = 0;
    PB_CLOSE int fd = -1;

    if (there < 0)
        return there;
    if (there != 1 && mkdirat(folder, name, 0700))
        return pb_fail(error, errno, "make directory", "%s", path);
    if (there == 2)
        failed = mark_opaque(unpacker, folder, name);
    fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return pb_fail(error, errno, "open", "%s", path);
    if (!failed && there == 1 && unpacker->flags & PB_UNTAR_REMOVALS)
        failed = drop_xattrs(fd);
    if (!failed)
        failed = pb_unpack_attributes(unpacker, fd, entry);
    if (!failed)
        failed = pb_note_add(&unpacker->folders, path, NULL, entry->mtime);
    return failed ? pb_fail(error, -failed, "unpack", "%s", path) : 0;
}

int pb_unpack_hard_link(pb_unpacker *unpacker, const pb_tar_member *entry, int folder, const char *name, const char *path,
                         pb_error *error)
{
    PB_FREE char *target = pb_unpack_path(unpacker, entry->target), *above = NULL;
    PB_CLOSE int from = -1;
    const char *base;

    if (!target)
        return pb_fail(error, ENOMEM, "unpack", "%s", path);
    if (!strcmp(target, path))
        return 0; /* a link to itself: already there */
    above = strdup(target);
    if (!above)
        return pb_fail(error, ENOMEM, "unpack", "%s", path);
    base = pb_unpack_split(above);
    from = pb_path_open(unpacker->root_fd, base ? above : "", O_RDONLY | O_DIRECTORY, 0);
    if (from >= 0) {
        int place = clear_place(unpacker, folder, name, 0, error);
        if (place < 0)
            return place;
        if (!linkat(from, base ? base : target, folder, name, 0))
            return 0;
        if (errno != ENOENT)
            return pb_fail(error, errno, "link", "%s", path);
    }
    if (unpacker->flags & PB_UNTAR_LAYER && (from >= 0 || from == -ENOENT)) {
        int place = from < 0 ? clear_place(unpacker, folder, name, 0, error) : 0;
        int failed = place < 0 ? place : pb_note_add(&unpacker->links, path, target, 0);
        return failed && place >= 0 ? pb_fail(error, -failed, "link", "%s", path) : failed;
    }
    return pb_fail_detail(error, EBADMSG, "unpack", path, "it is a hard link to %.200s, which the archive does not have", target);
}

int pb_unpack_special(pb_unpacker *unpacker, const pb_tar_member *entry, int folder, const char *name, const char *path,
                       pb_error *error)
{
    struct timespec times[2];
    int place = clear_place(unpacker, folder, name, 0, error);

    if (place < 0)
        return place;
    pb_stamp(entry->mtime, times);
    if (entry->type == '2') {
        if (symlinkat(entry->target, folder, name))
            return pb_fail(error, errno, "link", "%s", path);
    } else {
        mode_t kind = entry->type == '3' ? S_IFCHR : entry->type == '4' ? S_IFBLK : S_IFIFO;
        if (mknodat(folder, name, kind | 0600, makedev(entry->major, entry->minor))) {
            /* An ordinary user cannot make devices; a container gets its own /dev in any case. */
            if (errno == EPERM && kind != S_IFIFO)
                return 0;
            return pb_fail(error, errno, "make device", "%s", path);
        }
    }
    if (fchownat(folder, name, owner(unpacker, entry), group(unpacker, entry), AT_SYMLINK_NOFOLLOW) ||
        (entry->type != '2' && fchmodat(folder, name, entry->mode, 0)) || utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW))
        return pb_fail(error, errno, "set the attributes of", "%s", path);
    return 0;
}
