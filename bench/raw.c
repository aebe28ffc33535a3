// The baseline of `vmexit bench`: what a KVM exit costs a C program that does nothing else.
//
//     raw COUNT_IMAGE MMIO_IMAGE HLT_IMAGE
//
// The arguments are files with flat guest images, entered at gpa 0 in long mode; each guest reads the number of its exits
// from the word at 0x500. A request is a line on stdin, its answer a line on stdout:
//
//     pio N          the count guest: N port writes
//     mmio N         the mmio guest: N writes to an address without memory
//     hlt N          the hlt guest: N halts
//     lifecycle N    N times: create a machine, run it to its first exit, destroy it
//     pio-each N     as above with `-each`: N times instead of their sum (any kind)
//
//     ok 123456          nanoseconds, or N of them, without the making of the machine (save for lifecycle)
//     error KVM_RUN: …   what failed, and why; the program ends
//
// Built with cc -O2. It ends at the end of its input.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_BYTES 0x200000ul
#define PAGE_BYTES 4096ul
#define IMAGE_LIMIT 0x400
#define COUNT_CELL 0x500
#define MAX_CPUID_ENTRIES 256

// Page tables at the end of memory, the stack below them: 512 pages of 2 MiB map the first GiB to itself.
#define PML4 (MEMORY_BYTES - 3 * PAGE_BYTES)
#define PDPT (PML4 + PAGE_BYTES)
#define DIRECTORY (PDPT + PAGE_BYTES)
#define STACK_TOP PML4
#define PRESENT_WRITABLE 0x3ul
#define LARGE 0x80ul

#define CR0_PE_ET_NE_WP_PG 0x80010031ul
#define CR4_PAE 0x20ul
#define EFER_LME_LMA 0x500ul

struct image {
    uint8_t bytes[IMAGE_LIMIT];
    size_t length;
};

struct machine {
    int vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
};

static int kvm;
static int run_bytes;
static struct kvm_cpuid2 *cpuid;
static struct image count_image, mmio_image, hlt_image;

static void die(const char *call)
{
    printf("error %s: %s (errno %d)\n", call, strerror(errno), errno);
    exit(1);
}

static void unexpected(const struct kvm_run *run)
{
    printf("error KVM_RUN: unexpected exit reason %u\n", run->exit_reason);
    exit(1);
}

static int check(const char *call, int result)
{
    if (result < 0)
        die(call);
    return result;
}

static void *map(size_t bytes, int flags, int fd)
{
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (start == MAP_FAILED)
        die("mmap");
    return start;
}

static uint64_t now(void)
{
    struct timespec time;
    check("clock_gettime", clock_gettime(CLOCK_MONOTONIC, &time));
    return time.tv_sec * 1000000000ul + time.tv_nsec;
}

static void read_image(const char *path, struct image *image)
{
    int fd = check(path, open(path, O_RDONLY | O_CLOEXEC));
    image->length = check(path, read(fd, image->bytes, sizeof image->bytes));
    check(path, close(fd));
}

static void open_kvm(void)
{
    kvm = check("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
    run_bytes = check("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    cpuid = calloc(1, sizeof *cpuid + MAX_CPUID_ENTRIES * sizeof cpuid->entries[0]);
    if (!cpuid)
        die("calloc");
    cpuid->nent = MAX_CPUID_ENTRIES;
    check("KVM_GET_SUPPORTED_CPUID", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
}

static void write_tables(uint8_t *memory)
{
    uint64_t *directory = (uint64_t *)(memory + DIRECTORY);
    *(uint64_t *)(memory + PML4) = PDPT | PRESENT_WRITABLE;
    *(uint64_t *)(memory + PDPT) = DIRECTORY | PRESENT_WRITABLE;
    for (uint64_t page = 0; page < 512; page++)
        directory[page] = page << 21 | PRESENT_WRITABLE | LARGE;
}

static void enter_long_mode(int vcpu)
{
    struct kvm_sregs sregs;
    check("KVM_GET_SREGS", ioctl(vcpu, KVM_GET_SREGS, &sregs));
    struct kvm_segment code = {
        .limit = 0xffffffff, .selector = 1 << 3, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1,
    };
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 2 << 3, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1,
    };
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr3 = PML4;
    sregs.cr4 = CR4_PAE;
    sregs.efer = EFER_LME_LMA;
    sregs.cr0 = CR0_PE_ET_NE_WP_PG;
    check("KVM_SET_SREGS", ioctl(vcpu, KVM_SET_SREGS, &sregs));
    struct kvm_regs regs = {.rip = 0, .rsp = STACK_TOP, .rflags = 2};
    check("KVM_SET_REGS", ioctl(vcpu, KVM_SET_REGS, &regs));
}

static struct machine create(const struct image *image, uint32_t count)
{
    struct machine machine;
    machine.vm = check("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
    machine.memory = map(MEMORY_BYTES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    struct kvm_userspace_memory_region region = {
        .memory_size = MEMORY_BYTES, .userspace_addr = (uintptr_t)machine.memory,
    };
    check("KVM_SET_USER_MEMORY_REGION", ioctl(machine.vm, KVM_SET_USER_MEMORY_REGION, &region));
    memcpy(machine.memory, image->bytes, image->length);
    memcpy(machine.memory + COUNT_CELL, &count, sizeof count);
    write_tables(machine.memory);
    machine.vcpu = check("KVM_CREATE_VCPU", ioctl(machine.vm, KVM_CREATE_VCPU, 0));
    machine.run = map(run_bytes, MAP_SHARED, machine.vcpu);
    check("KVM_SET_CPUID2", ioctl(machine.vcpu, KVM_SET_CPUID2, cpuid));
    enter_long_mode(machine.vcpu);
    return machine;
}

static void destroy(const struct machine *machine)
{
    check("munmap", munmap(machine->run, run_bytes));
    check("close", close(machine->vcpu));
    check("close", close(machine->vm));
    check("munmap", munmap(machine->memory, MEMORY_BYTES));
}

static inline uint32_t enter(const struct machine *machine)
{
    while (ioctl(machine->vcpu, KVM_RUN, 0) < 0)
        if (errno != EINTR)
            die("KVM_RUN");
    return machine->run->exit_reason;
}

// Runs `count` exits of one reason; `stamps`, where given, gets the time after each.
static uint64_t loop(const struct image *image, uint32_t count, uint32_t reason, uint64_t *stamps)
{
    struct machine machine = create(image, count);
    uint64_t start = now();
    for (uint32_t exits = 0; exits < count; exits++) {
        if (enter(&machine) != reason)
            unexpected(machine.run);
        if (stamps)
            stamps[exits] = now();
    }
    // The guest's own end, which the other side runs to as well.
    if (reason != KVM_EXIT_HLT && enter(&machine) != KVM_EXIT_HLT)
        unexpected(machine.run);
    uint64_t end = now();
    destroy(&machine);
    if (stamps)
        for (uint32_t exits = count - 1; exits > 0; exits--)
            stamps[exits] -= stamps[exits - 1];
    if (stamps && count > 0)
        stamps[0] -= start;
    return end - start;
}

static uint64_t lifecycles(uint32_t count, uint64_t *durations)
{
    uint64_t total = 0;
    for (uint32_t index = 0; index < count; index++) {
        uint64_t start = now();
        struct machine machine = create(&hlt_image, 1);
        if (enter(&machine) != KVM_EXIT_HLT)
            unexpected(machine.run);
        destroy(&machine);
        uint64_t duration = now() - start;
        total += duration;
        if (durations)
            durations[index] = duration;
    }
    return total;
}

static uint64_t measure(const char *kind, uint32_t count, uint64_t *each)
{
    if (strcmp(kind, "pio") == 0)
        return loop(&count_image, count, KVM_EXIT_IO, each);
    if (strcmp(kind, "mmio") == 0)
        return loop(&mmio_image, count, KVM_EXIT_MMIO, each);
    if (strcmp(kind, "hlt") == 0)
        return loop(&hlt_image, count, KVM_EXIT_HLT, each);
    if (strcmp(kind, "lifecycle") == 0)
        return lifecycles(count, each);
    errno = EINVAL;
    die(kind);
    return 0;
}

static void answer(char *kind, uint32_t count)
{
    char *suffix = strstr(kind, "-each");
    if (!suffix) {
        printf("ok %lu\n", measure(kind, count, NULL));
        return;
    }
    *suffix = 0;
    uint64_t *each = calloc(count ? count : 1, sizeof *each);
    if (!each)
        die("calloc");
    measure(kind, count, each);
    printf("ok");
    for (uint32_t index = 0; index < count; index++)
        printf(" %lu", each[index]);
    printf("\n");
    free(each);
}

int main(int argc, char **argv)
{
    char line[64], kind[32];
    uint32_t count;

    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    // A terminal's Ctrl-C goes to the whole group; the parent decides, and this process never outlives it.
    signal(SIGINT, SIG_IGN);
    check("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL));
    if (argc != 4) {
        errno = EINVAL;
        die("three images");
    }
    read_image(argv[1], &count_image);
    read_image(argv[2], &mmio_image);
    read_image(argv[3], &hlt_image);
    open_kvm();
    printf("ok 0\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        errno = EINVAL;
        if (sscanf(line, "%31s %u", kind, &count) != 2)
            die("request");
        answer(kind, count);
        if (fflush(stdout) != 0)
            die("stdout");
    }
    return 0;
}
