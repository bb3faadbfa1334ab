/* Which digest goes with which fingerprint: a sorted file that is searched where it lies, and a list of what is new with a hash
 * table over it. Of a million new ones that takes some 70 MB, and writing them no more.
 *
 *     header | entries sorted by fingerprint
 *
 * A fingerprint is made with the store's secret, so that nobody can prepare two contents that share one. */
#include "known.h"
#include "error.h"
#include "hash.h"
#include "write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char MAGIC[8] = "pbknown";
enum { VERSION = 1, MOST = 4 << 20, AT_ONCE = 512, FEW = 20 }; /* entries; a file with more is begun anew with what is new */

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
    entry *entries; /* the new ones */
    uint32_t count, room;
    uint32_t *slots; /* one more than the index of an entry, 0 if a slot is empty */
    uint32_t capacity; /* of `slots`, a power of two */
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
    free(known->entries);
    free(known->slots);
    free(known->secret_data);
    free(known->file);
    free(known);
}

/* The slot of a fingerprint, or the empty one that it would get. */
static uint32_t place(const pb_known *known, const pb_fingerprint *fingerprint)
{
    uint32_t at;
    memcpy(&at, fingerprint->bytes + 4, sizeof at); /* any bits of it are as good as random */
    for (at &= known->capacity - 1; known->slots[at]; at = (at + 1) & (known->capacity - 1))
        if (!memcmp(&known->entries[known->slots[at] - 1].fingerprint, fingerprint, sizeof *fingerprint))
            break;
    return at;
}

const pb_digest *pb_known_find(const pb_known *known, const pb_fingerprint *fingerprint)
{
    size_t low = 0, high = known->old_count;

    if (known->capacity) {
        uint32_t at = place(known, fingerprint);
        if (known->slots[at])
            return &known->entries[known->slots[at] - 1].digest;
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

static void fill_slots(pb_known *known)
{
    memset(known->slots, 0, known->capacity * sizeof *known->slots);
    for (uint32_t i = 0; i < known->count; i++)
        known->slots[place(known, &known->entries[i].fingerprint)] = i + 1;
}

/* Room for one more. */
static int grow(pb_known *known)
{
    if (known->count == known->room) {
        uint32_t room = known->room ? known->room + known->room / 2 : 512;
        entry *entries = realloc(known->entries, room * sizeof *entries);
        if (!entries)
            return -ENOMEM;
        known->entries = entries;
        known->room = room;
    }
    if (known->count >= known->capacity / 4 * 3) {
        uint32_t capacity = known->capacity ? known->capacity * 2 : 1024;
        uint32_t *slots = capacity ? malloc(capacity * sizeof *slots) : NULL;
        if (!slots)
            return -ENOMEM;
        free(known->slots);
        known->slots = slots;
        known->capacity = capacity;
        fill_slots(known);
    }
    return 0;
}

int pb_known_add(pb_known *known, const pb_fingerprint *fingerprint, const pb_digest *digest)
{
    int failed;

    if (pb_known_find(known, fingerprint))
        return 0;
    failed = grow(known);
    if (failed)
        return failed;
    known->entries[known->count++] = (entry){*fingerprint, *digest};
    known->slots[place(known, fingerprint)] = known->count;
    return 0;
}

/* --- writing ----------------------------------------------------------------------------------------------- */

static int by_fingerprint(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(pb_fingerprint));
}

/* Sort in place: fingerprints are as good as random, so that their bytes divide them evenly. */
static void sort(entry *entries, size_t count, size_t byte)
{
    size_t end[256] = {0}, at[256], begin = 0;

    if (count <= FEW || byte == sizeof entries->fingerprint.bytes) {
        qsort(entries, count, sizeof *entries, by_fingerprint); /* so few that it needs no memory */
        return;
    }
    for (size_t i = 0; i < count; i++)
        end[entries[i].fingerprint.bytes[byte]]++;
    for (size_t value = 0; value < 256; value++) {
        at[value] = begin;
        begin = end[value] += begin;
    }
    for (size_t value = 0; value < 256; value++)
        while (at[value] < end[value]) {
            uint8_t own = entries[at[value]].fingerprint.bytes[byte];
            if (own == value) {
                at[value]++;
            } else {
                entry moved = entries[at[own]];
                entries[at[own]++] = entries[at[value]];
                entries[at[value]] = moved;
            }
        }
    for (size_t value = 0, from = 0; value < 256; from = end[value++])
        sort(entries + from, end[value] - from, byte + 1);
}

/* The new entries, which are sorted, and the first `kept` of the old ones, in one order. */
static int write_entries(const pb_known *known, uint32_t kept, int fd, pb_hasher *hasher)
{
    entry buffer[AT_ONCE];
    uint32_t fresh = 0, old = 0;

    while (fresh < known->count || old < kept) {
        size_t filled = 0;
        int failed;
        while (filled < AT_ONCE && (fresh < known->count || old < kept)) {
            int is_old = fresh == known->count || (old < kept && by_fingerprint(&known->old[old], &known->entries[fresh]) < 0);
            buffer[filled++] = is_old ? known->old[old++] : known->entries[fresh++];
        }
        pb_hasher_update(hasher, buffer, filled * sizeof *buffer);
        failed = pb_write_all(fd, buffer, filled * sizeof *buffer);
        if (failed)
            return failed;
    }
    return 0;
}

static int write_file(const pb_known *known, uint32_t kept)
{
    header head = {.version = VERSION, .count = kept + known->count};
    PB_FREE char *temporary = NULL;
    PB_HASHER pb_hasher *hasher = NULL;
    PB_CLOSE int fd = -1;
    int failed = pb_hasher_new(&known->secret, &hasher);

    if (failed)
        return failed;
    memcpy(head.magic, MAGIC, sizeof MAGIC);
    fingerprint_secret(&known->secret, &head.secret);
    if (asprintf(&temporary, "%s.XXXXXX", known->file) < 0) {
        temporary = NULL;
        return -ENOMEM;
    }
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    failed = pb_write_all(fd, &head, sizeof head);
    if (!failed)
        failed = write_entries(known, kept, fd, hasher);
    pb_hasher_finish(hasher, &head.body);
    if (!failed && lseek(fd, 0, SEEK_SET))
        failed = -errno;
    if (!failed)
        failed = pb_write_all(fd, &head, sizeof head);
    if (!failed && rename(temporary, known->file))
        failed = -errno;
    if (failed)
        unlink(temporary);
    return failed;
}

int pb_known_save(pb_known *known, pb_error *error)
{
    uint32_t kept = (uint64_t)known->old_count + known->count > MOST ? 0 : known->old_count;
    int failed;

    if (!known->count || !known->file)
        return 0;
    sort(known->entries, known->count, 0);
    fill_slots(known);
    failed = write_file(known, kept);
    return failed ? pb_fail(error, -failed, "keep digests", "%s", known->file) : 0;
}
