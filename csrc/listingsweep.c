/* Removing leaves that no listing of their folder has any more. */
#include "error.h"
#include "listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

/* Fingerprints of leaves, as they come. */
typedef struct {
    pb_fingerprint *items;
    size_t count, capacity;
} known_leaves;

static int add_leaves(known_leaves *known, const pb_listing *listing)
{
    size_t count = listing->own ? 0 : listing->count;
    if (known->capacity - known->count < count) {
        size_t capacity = known->capacity * 2 + count;
        pb_fingerprint *items = realloc(known->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        known->items = items;
        known->capacity = capacity;
    }
    if (count)
        memcpy(known->items + known->count, listing->leaves, count * sizeof *known->items);
    known->count += count;
    return 0;
}

static int hex_value(char digit)
{
    return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Whether a name is that of a leaf, and of which. */
static int is_leaf(const char *name, pb_fingerprint *ret)
{
    if (strlen(name) != PB_LEAF_NAME - 1 || strcmp(name + 2 * sizeof *ret, ".leaf"))
        return 0;
    for (size_t i = 0; i < sizeof ret->bytes; i++) {
        int high = hex_value(name[2 * i]), low = hex_value(name[2 * i + 1]);
        if (high < 0 || low < 0)
            return 0;
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return 1;
}

static int remove_file(int folder_fd, const char *name, uint64_t *freed)
{
    struct stat stat;
    if (fstatat(folder_fd, name, &stat, AT_SYMLINK_NOFOLLOW) || unlinkat(folder_fd, name, 0))
        return errno == ENOENT ? 0 : -errno;
    *freed += (uint64_t)stat.st_blocks * 512;
    return 0;
}

/* Gather what the listings have, then remove what none has. */
static int sweep(DIR *folder, const pb_secret *secret, known_leaves *known, uint64_t *freed)
{
    pb_fingerprint leaf;
    int failed = 0, fd = dirfd(folder);

    for (struct dirent *entry; !failed && (entry = readdir(folder));) {
        pb_listing listing = {0};
        if (entry->d_name[0] == '.' || is_leaf(entry->d_name, &leaf))
            continue;
        if (!pb_listing_open(fd, entry->d_name, secret, &listing))
            failed = add_leaves(known, &listing);
        pb_listing_close(&listing);
    }
    if (known->count)
        qsort(known->items, known->count, sizeof leaf, pb_fingerprint_order);
    rewinddir(folder);
    for (struct dirent *entry; !failed && (entry = readdir(folder));) {
        if (is_leaf(entry->d_name, &leaf)
                ? !known->count || !bsearch(&leaf, known->items, known->count, sizeof leaf, pb_fingerprint_order)
                : !strncmp(entry->d_name, ".new-", 5))
            failed = remove_file(fd, entry->d_name, freed);
    }
    return failed;
}

int pb_listing_sweep(const char *folder, const pb_secret *secret, uint64_t *freed, pb_error *error)
{
    DIR *opened = opendir(folder);
    known_leaves known = {0};
    int failed;

    *freed = 0;
    if (!opened)
        return errno == ENOENT ? 0 : pb_fail(error, errno, "open", "%s", folder);
    failed = sweep(opened, secret, &known, freed);
    closedir(opened);
    free(known.items);
    return failed ? pb_fail(error, -failed, "sweep listings", "%s", folder) : 0;
}
