/* How large a program was when it ended: runs a command and reads /proc of it in the moment before it exits.
   usage: peak COMMAND...    PRELOAD in the environment becomes the command's LD_PRELOAD, not this program's.
   Says `peak RSS_KIB PRIVATE_KIB HIGH_WATER_KIB`. wait4(2) would report what the parent held before exec. */
#include "child.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static long number_of(int child, const char *file, const char *name) {
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/%s", child, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (length < 0)
        give_up("/proc cannot be read");
    close(fd);
    text[length] = 0;
    char *at = strstr(text, name);
    return at == NULL ? 0 : atol(at + strlen(name));
}

int main(int count, char **words) {
    if (count < 2)
        give_up("a command is wanted");
    int child = fork();
    if (child == 0) {
        const char *preload = getenv("PRELOAD");
        if (preload != NULL && *preload)
            setenv("LD_PRELOAD", preload, 1);
        unsetenv("PRELOAD");
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
            _exit(126);
        execvp(words[1], words + 1);
        _exit(127);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) != 0)
        give_up("the command cannot be traced");
    for (long deliver = 0;; deliver = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status)) {
        ptrace(PTRACE_CONT, child, NULL, deliver);
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
            give_up("the command ended unseen");
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
            break;
    }
    say("peak %ld %ld %ld\n", number_of(child, "smaps_rollup", "\nRss:"),
        number_of(child, "smaps_rollup", "\nPrivate_Dirty:") + number_of(child, "smaps_rollup", "\nPrivate_Clean:"),
        number_of(child, "status", "VmHWM:"));
    ptrace(PTRACE_CONT, child, NULL, 0);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
