/* What the give-back programs share. They allocate through the C names only, so that LD_PRELOAD decides who
   serves them; their own books lie in mappings, and what they say goes out by write(2), so that nothing but
   the workload reaches the allocator. The parent speaks by single bytes on standard input. */
#ifndef GIVEBACK_CHILD_H
#define GIVEBACK_CHILD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)

/* Keeps the compiler from knowing a pointer, and with it from pairing malloc and free away. */
#define OPAQUE(pointer) ({ __typeof__(pointer) opaque_ = (pointer); __asm__ volatile("" : "+r"(opaque_) : : "memory"); opaque_; })

__attribute__((format(printf, 1, 2), unused)) static void say(const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof line || write(1, line, (size_t)length) != length)
        _exit(3);
}

__attribute__((noreturn, unused)) static void give_up(const char *why) {
    say("failed %s\n", why);
    _exit(2);
}

__attribute__((unused)) static long long nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Blocks in the system call until the parent writes a byte; ends the program when the parent is gone. */
__attribute__((unused)) static void wait_for_parent(void) {
    char byte;
    if (read(0, &byte, 1) != 1)
        _exit(4);
}

/* Zeroed memory that is not the allocator's; resident from the start, so that it is part of the base. */
__attribute__((unused)) static void *own_memory(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        give_up("no memory for the books");
    return at;
}

/* xorshift64: good enough to scatter, the same everywhere. */
__attribute__((unused)) static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* In [0, 1). */
__attribute__((unused)) static double next_share(uint64_t *state) {
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

#endif
