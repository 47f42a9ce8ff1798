/* Exit handlers, destructors and stdio's last flush allocate and free while the process ends, with
   other threads still running. exit(3), atexit(3). */
#include "check.h"
#include <pthread.h>

static void *early, *blocks[1000];

static void handler(void) {
    free(early);
    for (size_t i = 0; i < 1000; i++)
        free(blocks[i]);
    for (size_t size = 1; size < 3 * MIB; size *= 3) {
        char *block = calloc(1, size);
        CHECK(block != NULL && block[size - 1] == 0);
        free(block);
    }
}

__attribute__((destructor)) static void destructor(void) {
    for (size_t i = 0; i < 1000; i++)
        CHECK((blocks[i] = malloc(i)) != NULL);
    for (size_t i = 0; i < 1000; i++)
        free(blocks[i]);
}

static void *churn(void *unused) {
    for (;;)
        free(realloc(malloc(100), 5000));
    return unused;
}

int main(void) {
    CHECK(atexit(handler) == 0);
    CHECK((early = malloc(100000)) != NULL);
    for (size_t i = 0; i < 1000; i++)
        CHECK((blocks[i] = malloc(i * 10)) != NULL);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, churn, NULL) == 0);
    printf("buffered until the end");
    sleep_ms(5);
    return 0;
}
