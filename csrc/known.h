/* Fingerprints (local, fast) and the SHA-256 digests of the same content. */
#ifndef PB_KNOWN_H
#define PB_KNOWN_H

#include "pybuild.h"

/* The digest of a fingerprint's content, NULL if it is not known. */
const pb_digest *pb_known_find(const pb_known *known, const pb_fingerprint *fingerprint);
/* 0 or -ENOMEM. Digests found earlier may move. */
int pb_known_add(pb_known *known, const pb_fingerprint *fingerprint, const pb_digest *digest);
/* portable.c: the digest of an open file's attributes that matter. A negative errno. */
int pb_digest_xattrs(int fd, pb_digest *ret);

#endif
