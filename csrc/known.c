/* Which digest goes with which fingerprint: a sorted file that is searched where it lies, and a hash table of what is new.
 *
 *     header | entries sorted by fingerprint
 *
 * A fingerprint is made with the store's secret, so that nobody can prepare two contents that share one. */
#include "known.h"
#include "error.h"
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char MAGIC[8] = "pbknown";
enum { VERSION = 1, MOST = 4 << 20 }; /* entries; a file with more is begun anew with what is new */

typedef struct {
    pb_fingerprint fingerprint;
    pb_digest digest;
} entry;

typedef struct {
    char magic[8];
    uint32_t version, count;
    pb_fingerprint secret; /* of the secret */
    pb_fingerprint body;   /* of the entries */
} header;

struct pb_known {
    char *file;
    uint8_t *secret_data;
    pb_secret secret;
    void *map;
    size_t map_size;
    const entry *old;
    uint32_t old_count;
    entry *slots; /* of new ones; a slot is empty if `used` says so */
    uint8_t *used;
    uint32_t count, capacity; /* a power of two */
};

static void fingerprint_secret(const pb_secret *secret, pb_fingerprint *ret)
{
    static const char label[] = "which secret";
    if (pb_hash_bytes((const uint8_t *)label, sizeof label, secret, ret))
        memset(ret, 0, sizeof *ret);
}

static void load(pb_known *known)
{
    PB_CLOSE int fd = open(known->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    pb_fingerprint expected, body;
    const header *head;
    struct stat stat;
    void *map;

    if (fd < 0 || fstat(fd, &stat) || !S_ISREG(stat.st_mode) || (size_t)stat.st_size < sizeof *head)
        return;
    map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return;
    head = map;
    fingerprint_secret(&known->secret, &expected);
    if (!memcmp(head->magic, MAGIC, sizeof MAGIC) && head->version == VERSION && !memcmp(&head->secret, &expected, sizeof expected) &&
        sizeof *head + (uint64_t)head->count * sizeof(entry) == (uint64_t)stat.st_size) {
        pb_hash_bytes((const uint8_t *)(head + 1), head->count * sizeof(entry), &known->secret, &body);
        if (!memcmp(&body, &head->body, sizeof body)) {
            known->map = map;
            known->map_size = (size_t)stat.st_size;
            known->old = (const entry *)(head + 1);
            known->old_count = head->count;
            return;
        }
    }
    munmap(map, (size_t)stat.st_size);
}

int pb_known_open(const char *file, const pb_secret *secret, pb_known **ret, pb_error *error)
{
    pb_known *known = calloc(1, sizeof *known);

    if (known && file)
        known->file = strdup(file);
    if (known && secret && secret->size)
        known->secret_data = malloc(secret->size);
    if (!known || (file && !known->file) || (secret && secret->size && !known->secret_data)) {
        pb_known_free(known);
        return pb_fail(error, ENOMEM, "open digests", "%s", file ? file : "");
    }
    if (known->secret_data) {
        memcpy(known->secret_data, secret->data, secret->size);
        known->secret = (pb_secret){known->secret_data, secret->size};
    }
    if (known->file)
        load(known);
    *ret = known;
    return 0;
}

void pb_known_free(pb_known *known)
{
    if (!known)
        return;
    if (known->map)
        munmap(known->map, known->map_size);
    free(known->slots);
    free(known->used);
    free(known->secret_data);
    free(known->file);
    free(known);
}

static uint32_t place(const pb_known *known, const pb_fingerprint *fingerprint)
{
    uint32_t at;
    memcpy(&at, fingerprint->bytes + 4, sizeof at); /* any bits of it are as good as random */
    for (at &= known->capacity - 1; known->used[at]; at = (at + 1) & (known->capacity - 1))
        if (!memcmp(&known->slots[at].fingerprint, fingerprint, sizeof *fingerprint))
            break;
    return at;
}

const pb_digest *pb_known_find(const pb_known *known, const pb_fingerprint *fingerprint)
{
    size_t low = 0, high = known->old_count;

    if (known->capacity) {
        uint32_t at = place(known, fingerprint);
        if (known->used[at])
            return &known->slots[at].digest;
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(fingerprint, &known->old[middle].fingerprint, sizeof *fingerprint);
        if (!order)
            return &known->old[middle].digest;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static int grow(pb_known *known)
{
    pb_known larger = *known;

    larger.capacity = known->capacity ? known->capacity * 2 : 1024;
    if (!larger.capacity)
        return -ENOMEM;
    larger.slots = malloc(larger.capacity * sizeof *larger.slots);
    larger.used = calloc(larger.capacity, 1);
    if (!larger.slots || !larger.used) {
        free(larger.slots);
        free(larger.used);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < known->capacity; i++)
        if (known->used[i]) {
            uint32_t at = place(&larger, &known->slots[i].fingerprint);
            larger.slots[at] = known->slots[i];
            larger.used[at] = 1;
        }
    free(known->slots);
    free(known->used);
    *known = larger;
    return 0;
}

int pb_known_add(pb_known *known, const pb_fingerprint *fingerprint, const pb_digest *digest)
{
    uint32_t at;

    if (pb_known_find(known, fingerprint))
        return 0;
    if (known->count >= known->capacity / 2) {
        int failed = grow(known);
        if (failed)
            return failed;
    }
    at = place(known, fingerprint);
    known->slots[at] = (entry){*fingerprint, *digest};
    known->used[at] = 1;
    known->count++;
    return 0;
}

/* --- writing ----------------------------------------------------------------------------------------------- */

static int by_fingerprint(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(pb_fingerprint));
}

static int write_file(const pb_known *known, const entry *entries, uint32_t count)
{
    header head = {.version = VERSION, .count = count};
    PB_FREE char *temporary = NULL;
    PB_CLOSE int fd = -1;
    int failed;

    memcpy(head.magic, MAGIC, sizeof MAGIC);
    fingerprint_secret(&known->secret, &head.secret);
    pb_hash_bytes((const uint8_t *)entries, count * sizeof *entries, &known->secret, &head.body);
    if (asprintf(&temporary, "%s.XXXXXX", known->file) < 0) {
        temporary = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    failed = pb_write_all(fd, &head, sizeof head);
    if (!failed)
        failed = pb_write_all(fd, entries, count * sizeof *entries);
    if (!failed && rename(temporary, known->file))
        failed = -errno;
    if (failed)
        unlink(temporary);
    return failed;
}

int pb_known_save(pb_known *known, pb_error *error)
{
    uint32_t kept = known->old_count > MOST - known->count ? 0 : known->old_count, count = 0;
    PB_FREE entry *entries = NULL;
    int failed;

    if (!known->count || !known->file)
        return 0;
    entries = malloc(((size_t)kept + known->count) * sizeof *entries);
    if (!entries)
        return pb_fail(error, ENOMEM, "keep digests", "%s", known->file);
    for (uint32_t i = 0; i < known->capacity; i++)
        if (known->used[i])
            entries[count++] = known->slots[i];
    if (kept)
        memcpy(entries + count, known->old, kept * sizeof *entries);
    count += kept;
    qsort(entries, count, sizeof *entries, by_fingerprint);
    failed = write_file(known, entries, count);
    return failed ? pb_fail(error, -failed, "keep digests", "%s", known->file) : 0;
}
