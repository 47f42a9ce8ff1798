#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    char *one = malloc(1);
    size_t top = mallinfo2().keepcost;
    for (size_t len = top - 64; len < top; len++) {
        char *block = malloc(len);
        if (block == NULL)
            return 1;
        int is_in_heap = block > one && block < (char *)sbrk(0);
        if (!is_in_heap) {
            printf("%zu bytes at the top; the first size that goes to mmap is %zu\n", top, len);
            return 0;
        }
        free(block);
    }
    return 1;
}
