/* Hard links among what is copied stay links. */
#include "copyfile.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether what was copied first of a file is still where it was: another source may have taken its place. */
static int is_there(const pb_copier *copier, const pb_link *first, int folder, const char *name)
{
    const pb_link *taken = pb_linkmap_find(&copier->taken, first->copy_device, first->copy_inode);
    struct stat stat;
    if (taken && taken->number == TAKEN_WHOLLY)
        return 0;
    return !fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) && stat.st_dev == first->copy_device &&
           stat.st_ino == first->copy_inode;
}

int pb_copy_link(pb_copier *copier, const pb_node *node, const pb_place *place)
{
    PB_FREE char *path = NULL, *above = NULL;
    PB_CLOSE int folder = -1;
    pb_link *first;
    const char *slash, *name;
    int known;

    if (asprintf(&path, "%s%s%s", place->folder, *place->folder ? "/" : "", place->name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    known = pb_linkmap_add(&copier->links, node->device, node->inode, path, place->top, NULL);
    if (known <= 0)
        return known;
    first = pb_linkmap_find(&copier->links, node->device, node->inode);
    slash = strrchr(first->path, '/');
    name = slash ? slash + 1 : first->path;
    above = slash ? strndup(first->path, (size_t)(slash - first->path)) : strdup("");
    if (!above)
        return -ENOMEM;
    folder = pb_path_open_below(copier->tops[first->number], above, O_PATH | O_DIRECTORY);
    if (folder < 0)
        return folder;
    if (is_there(copier, first, folder, name))
        return linkat(folder, name, place->dir_fd, place->name, 0) ? -errno : 1;
    free(first->path);
    first->path = path;
    first->number = place->top;
    path = NULL;
    return 0;
}

int pb_copy_remember(pb_copier *copier, const pb_node *node, const pb_place *place)
{
    pb_link *first = pb_linkmap_find(&copier->links, node->device, node->inode), *taken;
    struct stat stat;

    if (!first || fstatat(place->dir_fd, place->name, &stat, AT_SYMLINK_NOFOLLOW))
        return first ? -errno : 0;
    first->copy_device = stat.st_dev;
    first->copy_inode = stat.st_ino;
    taken = pb_linkmap_find(&copier->taken, stat.st_dev, stat.st_ino);
    if (taken)
        taken->number = TAKEN_NOT; /* the number of a file that is gone, given anew */
    return 0;
}
