#define _GNU_SOURCE
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static long bpf(int command, union bpf_attr *attributes)
{
    return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/* As root. */
int main(void)
{
    union bpf_attr array = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 10,
                            .max_entries = 1, .map_flags = BPF_F_MMAPABLE};
    int file = (int)bpf(BPF_MAP_CREATE, &array);
    if (file < 0)
        return 1;
    unsigned char bytes[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    unsigned key = 0;
    union bpf_attr element;
    memset(&element, 0, sizeof element);
    element.map_fd = (unsigned)file;
    element.key = (unsigned long)&key;
    element.value = (unsigned long)bytes;
    bpf(BPF_MAP_UPDATE_ELEM, &element);
    unsigned char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map == MAP_FAILED)
        return 1;
    for (int i = 0; i < 10; i++)
        printf("%d\n", map[i]);
    map[9] = 99;
    bpf(BPF_MAP_LOOKUP_ELEM, &element);
    printf("the kernel reads %d\n", bytes[9]);
    return 0;
}
