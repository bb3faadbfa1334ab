#include "spill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

/* From so many bytes on an array is a mapping (tests have less); it grows in steps of whole pages, whatever their size. */
#ifndef PB_LONG
#define PB_LONG (1 << 20)
#endif
enum { LONG = PB_LONG, STEP = 1 << 16 };

enum { HEAP, MAPPING, IN_FILE };

static int grow_on_heap(pb_spill *spill, size_t size)
{
    void *moved = realloc(spill->data, size);

    if (!moved)
        return -ENOMEM;
    spill->data = moved;
    spill->capacity = size;
    return 0;
}

/* Whether blocks that a file was given stay its own. Where changed pages are written to other places each time (btrfs, ZFS) a full
 * disk would end the process when one is touched. */
static int keeps_blocks(int fd)
{
    struct statfs stat;

    if (fstatfs(fd, &stat))
        return 0;
    return stat.f_type == EXT4_SUPER_MAGIC || stat.f_type == XFS_SUPER_MAGIC || stat.f_type == TMPFS_MAGIC;
}

/* A mapping of a new file, or none. Its blocks are there from the beginning, for the same reason. */
static void *map_file(int folder_fd, size_t size, int *ret_fd)
{
    int fd = openat(folder_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    void *data = MAP_FAILED;

    if (fd >= 0 && keeps_blocks(fd) && !fallocate(fd, 0, 0, (off_t)size))
        data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED && fd >= 0)
        close(fd);
    *ret_fd = fd;
    return data;
}

/* Move it to a mapping: of a file if there is a place for one, else of memory. */
static int move(pb_spill *spill, size_t size, int folder_fd)
{
    pb_spill made = {.data = MAP_FAILED, .capacity = size, .kind = IN_FILE};

    if (folder_fd >= 0)
        made.data = map_file(folder_fd, size, &made.fd);
    if (made.data == MAP_FAILED) {
        made.kind = MAPPING;
        made.data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (made.data == MAP_FAILED)
        return -ENOMEM;
    if (spill->capacity)
        memcpy(made.data, spill->data, spill->capacity);
    pb_spill_free(spill);
    *spill = made;
    return 0;
}

int pb_spill_grow(pb_spill *spill, size_t size, int folder_fd)
{
    size_t wanted = spill->capacity + spill->capacity / 2 + 4096;
    void *moved;

    if (size <= spill->capacity)
        return 0;
    if (wanted < size)
        wanted = size;
    if (spill->kind == HEAP && wanted < LONG)
        return grow_on_heap(spill, wanted);
    wanted = (wanted + STEP - 1) / STEP * STEP;
    if (spill->kind == HEAP)
        return move(spill, wanted, folder_fd);
    if (spill->kind == IN_FILE && fallocate(spill->fd, 0, (off_t)spill->capacity, (off_t)(wanted - spill->capacity)))
        return move(spill, wanted, -1); /* the disk is full: go on without it */
    moved = mremap(spill->data, spill->capacity, wanted, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED)
        return -ENOMEM;
    spill->data = moved;
    spill->capacity = wanted;
    return 0;
}

void pb_spill_rest(const pb_spill *spill)
{
    if (spill->kind == IN_FILE)
        madvise(spill->data, spill->capacity, MADV_DONTNEED); /* a hint: what is not done costs memory only */
}

void pb_spill_free(pb_spill *spill)
{
    if (spill->kind == HEAP)
        free(spill->data);
    else
        munmap(spill->data, spill->capacity);
    if (spill->kind == IN_FILE)
        close(spill->fd);
    memset(spill, 0, sizeof *spill);
}
