/* malloc_info(3) writes an XML document to the stream and returns 0; options must be 0, else EINVAL.
   The stream may itself allocate. */
#include "check.h"

/* Every tag closed in order, one root element. */
static void check_nesting(const char *text) {
    char open[32][64];
    int depth = 0, roots = 0;
    for (const char *at = strchr(text, '<'); at != NULL; at = strchr(at + 1, '<')) {
        const char *end = strchr(at, '>');
        CHECK(end != NULL);
        if (at[1] == '?' || at[1] == '!')
            continue;
        char name[64];
        CHECK(sscanf(at[1] == '/' ? at + 2 : at + 1, "%63[a-zA-Z0-9_-]", name) == 1);
        if (at[1] == '/') {
            CHECK(depth > 0 && strcmp(open[--depth], name) == 0);
        } else {
            roots += depth == 0;
            if (end[-1] != '/') {
                CHECK(depth < 32);
                strcpy(open[depth++], name);
            }
        }
    }
    CHECK(depth == 0);
    CHECK(roots == 1);
}

int main(void) {
    void *blocks[1000];
    for (size_t i = 0; i < 1000; i++)
        blocks[i] = malloc(i * 7);
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    CHECK(stream != NULL);
    CHECK(malloc_info(0, stream) == 0);
    CHECK(fclose(stream) == 0);
    CHECK(length > 40 && strncmp(text, "<malloc version=\"", 17) == 0);
    CHECK(strcmp(text + length - 10, "</malloc>\n") == 0);
    check_nesting(text);
    free(text);
    FILE *null = fopen("/dev/null", "w");
    CHECK(malloc_info(1, null) == EINVAL);
    fclose(null);
    for (size_t i = 0; i < 1000; i++)
        free(blocks[i]);
    return 0;
}
