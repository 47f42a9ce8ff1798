/* What every contract program shares. A failed check names its line and ends the program with 1;
   a program that cannot run here says why and ends with 77, which counts as skipped. */
#ifndef NEAP_CHECK_H
#define NEAP_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define GIB ((size_t)1024 * 1024 * 1024)

/* write(2) from the stack: the allocator under test may be what broke. */
__attribute__((format(printf, 1, 2), unused)) static void say(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 1)
        length = (int)sizeof line - 1;
    if (write(2, line, (size_t)length) < 0)
        _exit(1);
}

#define CHECK(condition)                                             \
    do {                                                             \
        if (!(condition)) {                                          \
            say("%s:%d: %s\n", __FILE__, __LINE__, #condition);      \
            _exit(1);                                                \
        }                                                            \
    } while (0)

/* Like CHECK(left <= right), and shows both. */
#define CHECK_AT_MOST(left, right)                                                            \
    do {                                                                                      \
        unsigned long long left_ = (unsigned long long)(left), right_ = (unsigned long long)(right); \
        if (left_ > right_) {                                                                 \
            say("%s:%d: %s = %llu > %s = %llu\n", __FILE__, __LINE__, #left, left_, #right, right_); \
            _exit(1);                                                                         \
        }                                                                                     \
    } while (0)

#define CHECK_AT_LEAST(left, right) CHECK_AT_MOST(right, left)

#define SKIP(...)         \
    do {                  \
        say(__VA_ARGS__); \
        _exit(77);        \
    } while (0)

/* Keeps the compiler from knowing a value. */
#define OPAQUE(value) ({ __typeof__(value) opaque_ = (value); __asm__ volatile("" : "+r"(opaque_)); opaque_; })

/* A number that follows `name` in a file of /proc, or -1. Never allocates. */
__attribute__((unused)) static long long proc_number(const char *path, const char *name) {
    char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t length = 0;
    ssize_t got;
    while (length < sizeof text - 1 && (got = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    close(fd);
    text[length] = 0;
    char *at = strstr(text, name);
    return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

/* Resident bytes. From smaps_rollup, which walks the page tables: the counters behind statm lag by
   some MiB on machines with many processors. */
__attribute__((unused)) static size_t resident(void) {
    long long kib = proc_number("/proc/self/smaps_rollup", "\nRss:");
    if (kib < 0)
        kib = proc_number("/proc/self/status", "\nVmRSS:");
    CHECK(kib > 0);
    return (size_t)kib * KIB;
}

/* The most bytes that were ever resident. */
__attribute__((unused)) static size_t resident_peak(void) {
    long long kib = proc_number("/proc/self/status", "\nVmHWM:");
    CHECK(kib > 0);
    return (size_t)kib * KIB;
}

/* Threads of this process, those that libc does not know included. */
__attribute__((unused)) static int threads(void) {
    return (int)proc_number("/proc/self/status", "\nThreads:");
}

__attribute__((unused)) static void sleep_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

__attribute__((unused)) static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for `condition` up to `limit_ms`, then checks it. Calls nothing that allocates. */
#define CHECK_WITHIN(limit_ms, condition)                           \
    do {                                                            \
        long long deadline_ = now_ms() + (limit_ms);                \
        while (!(condition) && now_ms() < deadline_)                \
            sleep_ms(5);                                            \
        CHECK(condition);                                           \
    } while (0)

/* xorshift64*: the same numbers in every run. */
__attribute__((unused)) static uint64_t next_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

/* 16 bytes to 64 KiB, small sizes as likely per doubling as large ones. */
__attribute__((unused)) static size_t random_size(uint64_t *state) {
    size_t doubling = (size_t)16 << next_random(state) % 12;
    return doubling + next_random(state) % doubling;
}

/* Zeroed and resident memory for a program's own books, which the allocator under test never sees. */
__attribute__((unused)) static void *own_pages(size_t bytes) {
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(pages != MAP_FAILED);
    return pages;
}

#endif
