#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

extern char end; /* Of bss, from the linker. */

/* Build it with -pie and with -no-pie; "fixed" runs it again without randomisation. */
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "fixed") == 0) {
        personality(ADDR_NO_RANDOMIZE);
        execl("/proc/self/exe", argv[0], (char *)NULL);
        return 1;
    }
    char *heap = sbrk(0);
    printf("bss ends at %p, the heap begins at %p, %ld KiB above\n", (void *)&end, (void *)heap,
           (long)(heap - &end) / 1024);
    return 0;
}
