#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, COUNT = 16384, EACH = 1000 };
static pthread_barrier_t full, freed;
static int waits;

static long resident(void)
{
    char text[128] = "";
    long pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || sscanf(text, "%*d %ld", &pages) != 1)
        return -1;
    close(fd);
    return pages * 4;
}

static void *part(void *blocks)
{
    char **all = blocks;
    for (int i = 0; i < COUNT; i++)
        if ((all[i] = malloc(EACH)) != NULL)
            memset(all[i], 1, EACH);
    pthread_barrier_wait(&full);
    for (int i = 0; i < COUNT - 1; i++)
        free(all[i]);
    pthread_barrier_wait(&freed);
    while (waits)
        pause();
    return all[COUNT - 1];
}

/* With an argument the threads wait, otherwise they end. */
int main(int argc, char **argv)
{
    static char *blocks[THREADS][COUNT];
    pthread_t threads[THREADS];
    (void)argv;
    waits = argc > 1;
    pthread_barrier_init(&full, NULL, THREADS + 1);
    pthread_barrier_init(&freed, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, part, blocks[i]) != 0)
            return 1;
    pthread_barrier_wait(&full);
    long most = resident();
    pthread_barrier_wait(&freed);
    for (int i = 0; i < THREADS && !waits; i++)
        pthread_join(threads[i], NULL);
    sleep(2);
    long late = resident();
    malloc_trim(0);
    printf("%ld kB; freed, after 2 s: %ld; trimmed: %ld\n", most, late, resident());
    return 0;
}
