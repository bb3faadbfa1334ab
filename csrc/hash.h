/* XXH3-128 with an optional secret, in pieces. Only hash.c knows the library. */
#ifndef PB_HASH_H
#define PB_HASH_H

#include "pybuild.h"

typedef struct pb_hasher pb_hasher;

/* -ENOMEM, or -EINVAL for a secret that is too short. One hasher serves many fingerprints, one after the other. */
int pb_hasher_new(const pb_secret *secret, pb_hasher **ret);
void pb_hasher_free(pb_hasher *hasher);
void pb_hasher_reset(pb_hasher *hasher);
void pb_hasher_update(pb_hasher *hasher, const void *data, size_t size);
/* A number, always as eight little-endian bytes, so that a fingerprint does not depend on the machine. */
void pb_hasher_number(pb_hasher *hasher, uint64_t number);
/* A text with its length in front. */
void pb_hasher_text(pb_hasher *hasher, const void *data, size_t size);
void pb_hasher_finish(pb_hasher *hasher, pb_fingerprint *ret);
/* All that is left to read of a descriptor, or at most `most` bytes of it; the bytes read, or a negative errno. */
int64_t pb_hasher_read(pb_hasher *hasher, int fd);
int64_t pb_hasher_read_most(pb_hasher *hasher, int fd, uint64_t most);

static inline void pb_hasher_cleanup(pb_hasher **hasher)
{
    pb_hasher_free(*hasher);
}
#define PB_HASHER __attribute__((cleanup(pb_hasher_cleanup)))

#endif
