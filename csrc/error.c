#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A path that is too long loses its front, down to the start of a character. */
static void store_path(pb_error *error, const char *path)
{
    size_t length = strlen(path);

    if (length >= sizeof error->path) {
        path += length - sizeof error->path + 1;
        while ((*path & 0xc0) == 0x80)
            path++;
    }
    snprintf(error->path, sizeof error->path, "%s", path);
}

int pb_fail(pb_error *error, int code, const char *operation, const char *path_format, ...)
{
    if (error) {
        PB_FREE char *path = NULL;
        va_list arguments;
        error->code = code;
        error->detail[0] = '\0';
        snprintf(error->operation, sizeof error->operation, "%s", operation);
        va_start(arguments, path_format);
        if (vasprintf(&path, path_format, arguments) < 0)
            path = NULL;
        va_end(arguments);
        store_path(error, path ? path : "");
    }
    return -code;
}

int pb_fail_detail(pb_error *error, int code, const char *operation, const char *path, const char *detail_format, ...)
{
    if (error) {
        va_list arguments;
        error->code = code;
        snprintf(error->operation, sizeof error->operation, "%s", operation);
        store_path(error, path);
        va_start(arguments, detail_format);
        vsnprintf(error->detail, sizeof error->detail, detail_format, arguments);
        va_end(arguments);
    }
    return -code;
}
