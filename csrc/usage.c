/* How much room folders take on the disk: allocated blocks, files with several names counted once. */
#include "error.h"
#include "path.h"
#include "pybuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 512 }; /* the unit of st_blocks, whatever the file system's own */

/* A file with several names. */
typedef struct {
    uint64_t device, inode;
    uint64_t round; /* of the last folder that it was seen in; 0: an empty slot */
    uint64_t seen;  /* names of it in that folder */
} known_file;

struct pb_usages {
    known_file *slots;
    size_t count, capacity;
    uint64_t round;
};

/* Folders that are still to be read, by their paths from the top. */
typedef struct {
    char **paths;
    size_t count, capacity;
} path_stack;

static void free_stack(path_stack *stack)
{
    while (stack->count)
        free(stack->paths[--stack->count]);
    free(stack->paths);
}

static int push(path_stack *stack, const char *folder, const char *name)
{
    char *path;

    if (stack->count == stack->capacity) {
        size_t capacity = stack->capacity * 2 + 64;
        char **moved = realloc(stack->paths, capacity * sizeof *moved);
        if (!moved)
            return -ENOMEM;
        stack->paths = moved;
        stack->capacity = capacity;
    }
    path = malloc(strlen(folder) + strlen(name) + 2);
    if (!path)
        return -ENOMEM;
    stpcpy(stpcpy(stpcpy(path, folder), *folder ? "/" : ""), name);
    stack->paths[stack->count++] = path;
    return 0;
}

static known_file *slot_of(const pb_usages *usages, uint64_t device, uint64_t inode)
{
    uint64_t hash = (inode ^ device << 32 ^ device) * UINT64_C(0x9E3779B97F4A7C15);
    size_t slot = hash >> 20 & (usages->capacity - 1);
    while (usages->slots[slot].round &&
           (usages->slots[slot].device != device || usages->slots[slot].inode != inode))
        slot = (slot + 1) & (usages->capacity - 1);
    return &usages->slots[slot];
}

static int grow(pb_usages *usages)
{
    size_t old_capacity = usages->capacity, capacity = old_capacity ? old_capacity * 2 : 256;
    known_file *old = usages->slots, *slots = calloc(capacity, sizeof *slots);

    if (!slots)
        return -ENOMEM;
    usages->slots = slots;
    usages->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].round)
            *slot_of(usages, old[i].device, old[i].inode) = old[i];
    free(old);
    return 0;
}

static int count_linked(pb_usages *usages, const struct stat *stat, uint64_t bytes, pb_usage *sum)
{
    known_file *file;
    int failed = usages->count * 2 >= usages->capacity ? grow(usages) : 0;

    if (failed)
        return failed;
    file = slot_of(usages, stat->st_dev, stat->st_ino);
    if (!file->round) {
        *file = (known_file){.device = stat->st_dev, .inode = stat->st_ino};
        usages->count++;
        sum->fresh += bytes;
    }
    if (file->round != usages->round) {
        file->round = usages->round;
        file->seen = 0;
        sum->bytes += bytes;
    }
    if (++file->seen == stat->st_nlink)
        sum->own += bytes;
    return 0;
}

static int count_entry(pb_usages *usages, int dir_fd, const char *folder, const char *name, path_stack *left,
                       pb_usage *sum)
{
    struct stat stat;
    uint64_t bytes;

    if (fstatat(dir_fd, name, &stat, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno; /* gone meanwhile: a cache that is in use */
    bytes = (uint64_t)stat.st_blocks * BLOCK;
    sum->entries++;
    if (!S_ISDIR(stat.st_mode) && stat.st_nlink > 1)
        return count_linked(usages, &stat, bytes, sum);
    sum->bytes += bytes;
    sum->fresh += bytes;
    sum->own += bytes;
    return S_ISDIR(stat.st_mode) ? push(left, folder, name) : 0;
}

static int count_folder(pb_usages *usages, int dir_fd, const char *path, path_stack *left, pb_usage *sum)
{
    int fd = pb_path_open_below(dir_fd, path, O_RDONLY | O_DIRECTORY), failed = 0;
    DIR *stream;

    if (fd < 0)
        return fd == -ENOENT && sum->entries > 1 ? 0 : fd;
    stream = fdopendir(fd);
    if (!stream) {
        close(fd);
        return -ENOMEM;
    }
    while (!failed) {
        const struct dirent *entry;
        errno = 0;
        entry = readdir(stream);
        if (!entry) {
            failed = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            failed = count_entry(usages, fd, path, entry->d_name, left, sum);
    }
    closedir(stream);
    return failed;
}

int pb_usages_new(pb_usages **ret, pb_error *error)
{
    pb_usages *usages = calloc(1, sizeof *usages);
    if (!usages)
        return pb_fail(error, ENOMEM, "measure", "%s", "");
    *ret = usages;
    return 0;
}

int pb_usages_add(pb_usages *usages, int dir_fd, const char *name, pb_usage *ret, pb_error *error)
{
    __attribute__((cleanup(free_stack))) path_stack left = {0};
    pb_usage sum = {0};
    int failed;

    usages->round++;
    failed = count_entry(usages, dir_fd, "", name, &left, &sum);
    if (!failed && !sum.entries)
        failed = -ENOENT;
    while (!failed && left.count) {
        PB_FREE char *path = left.paths[--left.count];
        failed = count_folder(usages, dir_fd, path, &left, &sum);
        if (failed)
            return pb_fail(error, -failed, "measure", "%s", path);
    }
    if (failed)
        return pb_fail(error, -failed, "measure", "%s", name);
    *ret = sum;
    return 0;
}

void pb_usages_free(pb_usages *usages)
{
    if (!usages)
        return;
    free(usages->slots);
    free(usages);
}
