/* The form of a tar header (POSIX.1-1988 ustar, POSIX.1-2001 pax, and GNU's). */
#ifndef PB_TARHEADER_H
#define PB_TARHEADER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PB_TAR_BLOCK = 512 };

typedef struct {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char linkname[100];
    char magic[6]; /* "ustar" with a zero byte, or with a blank: GNU */
    char version[2];
    char uname[32];
    char gname[32];
    char devmajor[8];
    char devminor[8];
    char prefix[155];
    char padding[12];
} pb_tar_header;

_Static_assert(sizeof(pb_tar_header) == PB_TAR_BLOCK, "a tar header is one block");

/* The sum of a header's bytes, its checksum field taken as blanks; signed for archives of some old writers. */
static inline int64_t pb_tar_checksum(const pb_tar_header *header, int is_signed)
{
    const unsigned char *bytes = (const unsigned char *)header;
    int64_t sum = 0;
    for (size_t i = 0; i < PB_TAR_BLOCK; i++) {
        int blank = i >= offsetof(pb_tar_header, checksum) && i < offsetof(pb_tar_header, type);
        sum += blank ? ' ' : is_signed ? (signed char)bytes[i] : bytes[i];
    }
    return sum;
}

#endif
