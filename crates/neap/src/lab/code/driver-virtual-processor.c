#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* mov al, '7'; out 0x10, al; hlt: x86_64 only. */
static const unsigned char code[] = {0xB0, '7', 0xE6, 0x10, 0xF4};

int main(void)
{
    int kvm = open("/dev/kvm", O_RDWR);
    int machine = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0L);
    int processor = machine < 0 ? -1 : ioctl(machine, KVM_CREATE_VCPU, 0L);
    if (processor < 0)
        return 1;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    size_t length = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0L);
    struct kvm_run *run = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, processor, 0);
    if (memory == MAP_FAILED || (void *)run == MAP_FAILED)
        return 1;
    memcpy(memory, code, sizeof code);
    struct kvm_userspace_memory_region region = {0, 0, 0x1000, 4096, (unsigned long)memory};
    struct kvm_sregs segments;
    struct kvm_regs registers = {.rip = 0x1000, .rflags = 2};
    if (ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) != 0
        || ioctl(processor, KVM_GET_SREGS, &segments) != 0)
        return 1;
    segments.cs.base = 0;
    segments.cs.selector = 0;
    if (ioctl(processor, KVM_SET_SREGS, &segments) != 0 || ioctl(processor, KVM_SET_REGS, &registers) != 0)
        return 1;
    if (ioctl(processor, KVM_RUN, 0L) == 0 && run->exit_reason == KVM_EXIT_IO)
        printf("port %#x: %c\n", run->io.port, *((char *)run + run->io.data_offset));
    if (ioctl(processor, KVM_RUN, 0L) == 0)
        printf("halted: %d\n", run->exit_reason == KVM_EXIT_HLT);
    return 0;
}
