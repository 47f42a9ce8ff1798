#include <stdio.h>
#include <sys/mman.h>

int main(void)
{
    char *three = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (three == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    /* One page goes: 40 is rounded up. */
    printf("munmap of 40: %d\n", munmap(three + 4096, 40));
    /* The hole is no error; with 4097 the page behind would go, too. */
    printf("munmap of 4097: %d\n", munmap(three, 4097));
    three[2 * 4096] = 1;
    return 0;
}
