/* What libc allocates for the program, the program frees, and the other way round. */
#include "check.h"
#include <dirent.h>
#include <glob.h>
#include <locale.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static void *use(void *unused) {
    for (int round = 0; round < 30; round++) {
        char *text = NULL, *line = NULL;
        CHECK(asprintf(&text, "%d %s", round, "words") > 0);
        char *copy = strdup(text), *part = strndup(text, 3);
        CHECK(copy != NULL && part != NULL);
        char *folder = getcwd(NULL, 0), *real = realpath("/proc/self/..", NULL);
        CHECK(folder != NULL && real != NULL);
        FILE *file = tmpfile();
        CHECK(file != NULL);
        for (int i = 0; i < 500; i++)
            CHECK(fprintf(file, "%*d\n", i + 1, i) > 0);
        rewind(file);
        size_t size = 0;
        while (getline(&line, &size, file) > 0) {
        }
        CHECK(size > 500);
        fclose(file);
        DIR *entries = opendir("/proc/self");
        CHECK(entries != NULL);
        while (readdir(entries) != NULL) {
        }
        closedir(entries);
        glob_t found;
        CHECK(glob("/proc/self/s*", 0, NULL, &found) == 0 && found.gl_pathc > 1);
        globfree(&found);
        regex_t expression;
        CHECK(regcomp(&expression, "(a|b)*c{3,9}", REG_EXTENDED) == 0);
        CHECK(regexec(&expression, "ababccc", 0, NULL, 0) == 0);
        regfree(&expression);
        void *tree = NULL;
        CHECK(tsearch(text, &tree, compare) && tsearch(part, &tree, compare));
        tdestroy(tree, free);
        free(copy), free(folder), free(real), free(line);
        locale_t locale = newlocale(LC_ALL_MASK, "C", NULL);
        CHECK(locale != NULL);
        freelocale(locale);
        CHECK(setenv("NEAP_TEST_WORD", "value", 1) == 0 || round > 0);
    }
    return unused;
}

int main(void) {
    use(NULL);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, use, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
