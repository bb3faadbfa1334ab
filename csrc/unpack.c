/* Files from the entries of an archive, below a root that nothing leaves: parents are resolved as a chroot would, names are
 * cleaned, links are made but never followed in the last place.
 */
#include "copyfile.h"
#include "error.h"
#include "path.h"
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int pb_note_add(pb_notes *list, const char *path, const char *target, int64_t mtime)
{
    pb_note *item;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 64;
        pb_note *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    item = &list->items[list->count];
    *item = (pb_note){strdup(path), target ? strdup(target) : NULL, mtime};
    list->count++;
    return item->path && (!target || item->target) ? 0 : -ENOMEM;
}

static void free_notes(pb_notes *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].target);
    }
    free(list->items);
}

int pb_unpacker_new(int root_fd, const char *prefix, int flags, int64_t uid, int64_t gid, pb_unpacker **ret)
{
    pb_unpacker *unpacker = calloc(1, sizeof *unpacker);
    if (!unpacker)
        return -ENOMEM;
    unpacker->file = unpacker->last_fd = -1;
    unpacker->flags = flags;
    unpacker->uid = uid;
    unpacker->gid = gid;
    unpacker->root_fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 3);
    unpacker->prefix = strdup(prefix);
    for (size_t size = strlen(prefix); unpacker->prefix && size && prefix[size - 1] == '/';)
        unpacker->prefix[--size] = '\0'; /* as the names that begin with it */
    if (unpacker->root_fd < 0 || !unpacker->prefix) {
        pb_unpacker_free(unpacker);
        return -ENOMEM;
    }
    *ret = unpacker;
    return 0;
}

void pb_unpacker_free(pb_unpacker *unpacker)
{
    if (!unpacker)
        return;
    if (unpacker->root_fd >= 0)
        close(unpacker->root_fd);
    if (unpacker->file >= 0)
        close(unpacker->file);
    if (unpacker->last_fd >= 0)
        close(unpacker->last_fd);
    free(unpacker->prefix);
    free(unpacker->last_folder);
    free_notes(&unpacker->folders);
    free_notes(&unpacker->implied);
    free_notes(&unpacker->links);
    free(unpacker);
}

/* --- names --------------------------------------------------------------------------------------------------- */

char *pb_unpack_path(const pb_unpacker *unpacker, const char *name)
{
    size_t room = strlen(unpacker->prefix) + strlen(name) + 3;
    char *path = malloc(room), *top, *end;

    if (!path)
        return NULL;
    sprintf(path, "%s", unpacker->prefix);
    end = path + strlen(path);
    while (end > path && end[-1] == '/')
        end--;
    top = end;
    for (const char *at = name; *at;) {
        size_t length = strcspn(at, "/");
        if (length == 2 && !strncmp(at, "..", 2)) {
            while (end > top && *--end != '/')
                ;
        } else if (length && !(length == 1 && *at == '.')) {
            if (end > path)
                *end++ = '/';
            memcpy(end, at, length);
            end += length;
        }
        at += length;
        at += strspn(at, "/");
    }
    *end = '\0';
    return path;
}

const char *pb_unpack_split(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    return slash + 1;
}

/* The folder of a path, made with all above it if it is missing. The descriptor belongs to the unpacker. */
static int open_folder(pb_unpacker *unpacker, const char *folder)
{
    static const pb_owner_mode plain = {0755, 0, 0};
    int fd;

    if (!unpacker->stale && unpacker->last_folder && !strcmp(unpacker->last_folder, folder))
        return unpacker->last_fd;
    unpacker->stale = 0;
    fd = pb_path_open(unpacker->root_fd, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT) {
        for (size_t at = 0; folder[at];) { /* note what is made on the way */
            size_t end = at + strcspn(folder + at, "/");
            PB_FREE char *part = strndup(folder, end);
            int there = part ? pb_path_open(unpacker->root_fd, part, O_PATH | O_DIRECTORY, 0) : -ENOMEM;
            int failed = 0;
            if (there >= 0)
                close(there);
            else if (there == -ENOENT)
                failed = pb_note_add(&unpacker->implied, part, NULL, 0);
            if (failed)
                return failed;
            at = end + strspn(folder + end, "/");
        }
        fd = pb_path_make(unpacker->root_fd, folder, &plain);
    }
    if (fd < 0)
        return fd;
    if (unpacker->last_fd >= 0)
        close(unpacker->last_fd);
    free(unpacker->last_folder);
    unpacker->last_fd = fd;
    unpacker->last_folder = strdup(folder);
    return unpacker->last_folder ? fd : -ENOMEM;
}

static void forget_folder(pb_unpacker *unpacker)
{
    if (unpacker->last_fd >= 0)
        close(unpacker->last_fd);
    unpacker->last_fd = -1;
    free(unpacker->last_folder);
    unpacker->last_folder = NULL;
}

int pb_unpacker_begin(pb_unpacker *unpacker, const pb_tar_member *entry, pb_error *error)
{
    PB_FREE char *path = pb_unpack_path(unpacker, entry->path), *above = NULL;
    const char *name;
    int folder;

    if (!path || !(above = strdup(path)))
        return pb_fail(error, ENOMEM, "unpack", "%s", entry->path);
    if (!strcmp(path, unpacker->prefix) || !*path)
        return 0; /* the top itself */
    name = pb_unpack_split(above);
    if (!name) {
        name = path;
        *above = '\0';
    }
    if (strlen(name) > 255)
        return pb_fail_detail(error, EBADMSG, "unpack", entry->path, "a part of its name is longer than 255 bytes");
    if (entry->type == 'R' && unpacker->flags & PB_UNTAR_REMOVALS) {
        forget_folder(unpacker); /* it may be what is removed */
        return pb_unpack_removal(unpacker, name == path ? "" : above, name, error);
    }
    if (entry->type < '0' || entry->type > '6')
        return 0; /* kinds of other systems, and notes such as a volume's label */
    folder = open_folder(unpacker, name == path ? "" : above);
    if (folder < 0)
        return pb_fail(error, -folder, "unpack", "%s", path);
    if (unpacker->flags & PB_UNTAR_LAYER && !strncmp(name, ".wh.", 4)) {
        int failed = pb_unpack_whiteout(unpacker, folder, name);
        return failed ? pb_fail(error, -failed, "unpack", "%s", path) : 0;
    }
    switch (entry->type) {
    case '5':
        return pb_unpack_folder(unpacker, entry, folder, name, path, error);
    case '1':
        return pb_unpack_hard_link(unpacker, entry, folder, name, path, error);
    case '0':
        unpacker->file = pb_unpack_create(unpacker, folder, name, path, entry->mode, error);
        return unpacker->file < 0 ? unpacker->file : 0;
    default:
        return pb_unpack_special(unpacker, entry, folder, name, path, error);
    }
}

int pb_unpacker_data(pb_unpacker *unpacker, const uint8_t *data, size_t size, pb_error *error)
{
    while (size && unpacker->file >= 0) {
        ssize_t count = write(unpacker->file, data, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return pb_fail(error, errno, "write", "%s", "a file of the archive");
        data += count;
        size -= (size_t)count;
    }
    return 0;
}

int pb_unpacker_end(pb_unpacker *unpacker, const pb_tar_member *entry, pb_error *error)
{
    int failed;

    if (unpacker->file < 0)
        return 0;
    failed = pb_unpack_attributes(unpacker, unpacker->file, entry);
    if (!failed)
        failed = pb_set_times(unpacker->file, entry->mtime);
    close(unpacker->file);
    unpacker->file = -1;
    return failed ? pb_fail(error, -failed, "set the attributes of", "%s", entry->path) : 0;
}

int pb_unpacker_finish(pb_unpacker *unpacker, pb_error *error)
{
    forget_folder(unpacker);
    for (size_t i = unpacker->folders.count; i-- > 0;) {
        const pb_note *folder = &unpacker->folders.items[i];
        PB_CLOSE int fd = pb_path_open(unpacker->root_fd, folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        int failed = fd < 0 ? 0 : pb_set_times(fd, folder->mtime); /* gone: a later entry took its place */
        if (failed)
            return pb_fail(error, -failed, "set the times of", "%s", folder->path);
    }
    return 0;
}

/* --- what only the layers below know ----------------------------------------------------------------------------- */

static int by_path(const void *left, const void *right)
{
    return strcmp(((const pb_note *)left)->path, ((const pb_note *)right)->path);
}

static int adopt_folder(const pb_unpacker *unpacker, int lower_fd, const char *path)
{
    PB_CLOSE int lower = pb_path_open(lower_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    PB_CLOSE int own = -1;
    PB_FREE char *names = NULL, *value = NULL;
    struct stat stat;
    size_t size;
    int failed;

    if (lower < 0)
        return lower == -ENOENT || lower == -ENOTDIR || lower == -ELOOP ? 0 : lower;
    own = pb_path_open(unpacker->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (own < 0)
        return own;
    if (fstat(lower, &stat) || fchown(own, stat.st_uid, stat.st_gid) || fchmod(own, stat.st_mode & 07777))
        return -errno;
    failed = pb_xattr_list(lower, &names, &size);
    value = malloc(65536);
    if (failed || !value)
        return failed ? failed : -ENOMEM;
    for (const char *name = names; size && name < names + size; name += strlen(name) + 1) {
        ssize_t length = fgetxattr(lower, name, value, 65536);
        if (length < 0 || (fsetxattr(own, name, value, (size_t)length, 0) && errno != EOPNOTSUPP))
            return -errno;
    }
    return pb_set_times(own, stat.st_mtim.tv_sec * INT64_C(1000000000) + stat.st_mtim.tv_nsec);
}

static int adopt_link(pb_unpacker *unpacker, pb_tree *lower, const pb_note *link, pb_error *error)
{
    pb_copy_options options = {.uid = -1, .gid = -1, .mode = -1, .parent_mode = -1, .no_follow_destination = 1, .time = -1};
    pb_copier *copier = NULL;
    uint32_t node;
    int failed = pb_tree_find(lower, link->target, 0, &node, error);

    if (failed == -ENOENT || failed == -ENOTDIR)
        return pb_fail_detail(error, EBADMSG, "unpack", link->path,
                              "it is a hard link to %.200s, which neither this layer nor one below has", link->target);
    if (!failed && S_ISDIR(lower->nodes[node].mode))
        return pb_fail_detail(error, EBADMSG, "unpack", link->path, "it is a hard link to a folder, %.200s", link->target);
    if (!failed)
        failed = pb_copier_new(unpacker->root_fd, &options, &copier, error);
    if (!failed)
        failed = pb_copier_add(copier, lower, node, link->path, NULL, NULL, error);
    pb_copier_free(copier);
    return failed;
}

int pb_unpacker_adopt(pb_unpacker *unpacker, int lower_fd, pb_error *error)
{
    pb_notes *own = &unpacker->folders;
    pb_tree *lower = NULL;
    int failed = 0;

    if (own->count)
        qsort(own->items, own->count, sizeof *own->items, by_path);
    for (size_t i = 0; i < unpacker->implied.count; i++) {
        const pb_note *implied = &unpacker->implied.items[i];
        if (own->count && bsearch(implied, own->items, own->count, sizeof *own->items, by_path))
            continue;
        failed = adopt_folder(unpacker, lower_fd, implied->path);
        if (failed)
            return pb_fail(error, -failed, "set the attributes of", "%s", implied->path);
    }
    if (!unpacker->links.count)
        return 0;
    failed = pb_tree_open(lower_fd, NULL, NULL, NULL, -1, &lower, error);
    for (size_t i = unpacker->links.count; !failed && i-- > 0;) { /* the last of a name counts, and what came after it */
        const pb_note *link = &unpacker->links.items[i];
        PB_CLOSE int there = pb_path_open(unpacker->root_fd, link->path, O_PATH | O_NOFOLLOW, 0);
        if (there < 0)
            failed = adopt_link(unpacker, lower, link, error);
    }
    pb_tree_free(lower);
    return failed;
}
