#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    int file = (int)syscall(SYS_io_uring_setup, 4, &p);
    if (file < 0)
        return 1;
    size_t length = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *rings = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, IORING_OFF_SQ_RING);
    struct io_uring_sqe *requests = mmap(NULL, 4 * sizeof *requests, PROT_READ | PROT_WRITE, MAP_SHARED,
                                         file, IORING_OFF_SQES);
    if (rings == MAP_FAILED || (void *)requests == MAP_FAILED)
        return 1;
    requests[0].opcode = IORING_OP_NOP;
    requests[0].user_data = 4711;
    ((unsigned *)(rings + p.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(rings + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    printf("taken: %ld\n", syscall(SYS_io_uring_enter, file, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    unsigned done = __atomic_load_n((unsigned *)(rings + p.cq_off.tail), __ATOMIC_ACQUIRE);
    struct io_uring_cqe *completion = (void *)(rings + p.cq_off.cqes);
    printf("done: %u, number %llu, result %d\n", done, (unsigned long long)completion->user_data,
           completion->res);
    return 0;
}
