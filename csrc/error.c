#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int pb_fail(pb_error *error, int code, const char *operation, const char *path_format, ...)
{
    if (error) {
        va_list arguments;
        error->code = code;
        error->detail[0] = '\0';
        snprintf(error->operation, sizeof error->operation, "%s", operation);
        va_start(arguments, path_format);
        vsnprintf(error->path, sizeof error->path, path_format, arguments);
        va_end(arguments);
    }
    return -code;
}

int pb_fail_detail(pb_error *error, int code, const char *operation, const char *path, const char *detail_format, ...)
{
    if (error) {
        size_t length = strlen(path);
        va_list arguments;
        error->code = code;
        snprintf(error->operation, sizeof error->operation, "%s", operation);
        if (length >= sizeof error->path)
            path += length - sizeof error->path + 1;
        snprintf(error->path, sizeof error->path, "%s", path);
        va_start(arguments, detail_format);
        vsnprintf(error->detail, sizeof error->detail, detail_format, arguments);
        va_end(arguments);
    }
    return -code;
}
