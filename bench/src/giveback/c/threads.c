/* What a thread costs: COUNT threads of 64 KiB stack each allocate 200 blocks of 16 to 527 bytes and keep every
   tenth, so 20; then they wait.   usage: threads COUNT malloc|nothing
   `nothing`: the same without a malloc, for what a thread costs anyway. Says `base`, `alive` and waits after each. */
#include "child.h"
#include <pthread.h>

static pthread_barrier_t ready;
static int allocate;

static void *keep_a_few(void *unused) {
    char *at[200];
    for (int k = 0; k < 200 && allocate; k++) {
        if ((at[k] = malloc(16 + (size_t)(k * 37) % 512)) == NULL)
            give_up("malloc returned null");
        memset(at[k], 1, 16);
    }
    for (int k = 0; k < 200 && allocate; k++)
        if (k % 10)
            free(at[k]);
    pthread_barrier_wait(&ready);
    for (;;)
        pause();
    return unused;
}

int main(int count, char **words) {
    if (count != 3)
        give_up("two words are wanted");
    unsigned threads = (unsigned)atoi(words[1]);
    allocate = strcmp(words[2], "malloc") == 0;
    pthread_barrier_init(&ready, NULL, threads + 1);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    free(OPAQUE(malloc(100)));
    say("base\n");
    wait_for_parent();
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, keep_a_few, NULL) != 0)
            give_up("no thread");
    }
    pthread_barrier_wait(&ready);
    say("alive\n");
    wait_for_parent();
    _exit(0);
}
