#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_DUMMY, .exclude_kernel = 1, .comm = 1};
    int event = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
    if (event < 0)
        return 1;
    char *ring = mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, event, 0);
    if (ring == MAP_FAILED)
        return 1;
    prctl(PR_SET_NAME, "ebb and flow");
    struct perf_event_mmap_page *page = (void *)ring;
    struct perf_event_header *record = (void *)(ring + 4096);
    printf("%llu bytes of records, the first of type %u: %s\n", (unsigned long long)page->data_head,
           record->type, (char *)(record + 1) + 8);
    int half = munmap(ring, 4096);
    printf("munmap of half: %s\n", half != 0 ? strerror(errno) : "success");
    if (mmap(NULL, 2 * 4096, PROT_READ, MAP_PRIVATE, event, 0) == MAP_FAILED)
        printf("private: %s\n", strerror(errno));
    return 0;
}
