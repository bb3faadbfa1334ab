#include "hash.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <xxhash.h>
#pragma GCC diagnostic pop

enum { READ_SIZE = 256 * 1024 };

struct pb_hasher {
    XXH3_state_t *state;
    const uint8_t *secret; /* the caller's; NULL without one */
    size_t secret_size;
    uint8_t *buffer;
};

int pb_hasher_new(const pb_secret *secret, pb_hasher **ret)
{
    int with_secret = secret && secret->size;
    pb_hasher *hasher;

    if (with_secret && secret->size < XXH3_SECRET_SIZE_MIN)
        return -EINVAL;
    hasher = calloc(1, sizeof *hasher);
    if (!hasher)
        return -ENOMEM;
    hasher->state = XXH3_createState();
    hasher->buffer = malloc(READ_SIZE);
    if (!hasher->state || !hasher->buffer) {
        pb_hasher_free(hasher);
        return -ENOMEM;
    }
    hasher->secret = with_secret ? secret->data : NULL;
    hasher->secret_size = with_secret ? secret->size : 0;
    pb_hasher_reset(hasher);
    *ret = hasher;
    return 0;
}

void pb_hasher_free(pb_hasher *hasher)
{
    if (!hasher)
        return;
    XXH3_freeState(hasher->state);
    free(hasher->buffer);
    free(hasher);
}

void pb_hasher_reset(pb_hasher *hasher)
{
    if (hasher->secret)
        XXH3_128bits_reset_withSecret(hasher->state, hasher->secret, hasher->secret_size);
    else
        XXH3_128bits_reset(hasher->state);
}

void pb_hasher_update(pb_hasher *hasher, const void *data, size_t size)
{
    XXH3_128bits_update(hasher->state, data, size);
}

void pb_hasher_number(pb_hasher *hasher, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
    pb_hasher_update(hasher, bytes, sizeof bytes);
}

void pb_hasher_text(pb_hasher *hasher, const void *data, size_t size)
{
    pb_hasher_number(hasher, size);
    pb_hasher_update(hasher, data, size);
}

static void store_fingerprint(XXH128_hash_t hash, pb_fingerprint *ret)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    memcpy(ret->bytes, canonical.digest, sizeof ret->bytes);
}

void pb_hasher_finish(pb_hasher *hasher, pb_fingerprint *ret)
{
    store_fingerprint(XXH3_128bits_digest(hasher->state), ret);
}

int64_t pb_hasher_read_most(pb_hasher *hasher, int fd, uint64_t most)
{
    int64_t total = 0;
    for (;;) {
        uint64_t left = most - (uint64_t)total;
        ssize_t count = left ? read(fd, hasher->buffer, left < READ_SIZE ? left : READ_SIZE) : 0;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (count == 0)
            return total;
        pb_hasher_update(hasher, hasher->buffer, (size_t)count);
        total += count;
    }
}

int64_t pb_hasher_read(pb_hasher *hasher, int fd)
{
    return pb_hasher_read_most(hasher, fd, INT64_MAX);
}

int pb_hash_bytes(const uint8_t *data, size_t size, const pb_secret *secret, pb_fingerprint *ret)
{
    if (!secret || !secret->size) {
        store_fingerprint(XXH3_128bits(data, size), ret);
        return 0;
    }
    if (secret->size < XXH3_SECRET_SIZE_MIN)
        return -EINVAL;
    store_fingerprint(XXH3_128bits_withSecret(data, size, secret->data, secret->size), ret);
    return 0;
}

int pb_hash_file(int dir_fd, const char *path, const pb_secret *secret, pb_fingerprint *ret, pb_error *error)
{
    PB_HASHER pb_hasher *hasher = NULL;
    PB_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int64_t count;
    int failed;

    if (fd < 0)
        return pb_fail(error, errno, "open", "%s", path);
    failed = pb_hasher_new(secret, &hasher);
    if (failed)
        return pb_fail(error, -failed, "hash", "%s", path);
    count = pb_hasher_read(hasher, fd);
    if (count < 0)
        return pb_fail(error, (int)-count, "read", "%s", path);
    pb_hasher_finish(hasher, ret);
    return 0;
}

void pb_free(void *memory)
{
    free(memory);
}
