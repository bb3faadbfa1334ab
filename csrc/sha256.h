/* SHA-256 (FIPS 180-4), in pieces: for what must mean the same on every machine. */
#ifndef PB_SHA256_H
#define PB_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t state[8];
    uint64_t length;     /* bytes so far */
    uint8_t pending[64]; /* the length's remainder of them waits here */
} pb_sha256;

void pb_sha256_reset(pb_sha256 *hash);
void pb_sha256_update(pb_sha256 *hash, const void *data, size_t size);
/* A number, always as eight little-endian bytes. */
void pb_sha256_number(pb_sha256 *hash, uint64_t number);
/* A text with its length in front. */
void pb_sha256_text(pb_sha256 *hash, const void *data, size_t size);
void pb_sha256_finish(pb_sha256 *hash, uint8_t digest[32]);

#endif
