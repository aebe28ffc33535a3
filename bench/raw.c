// The baseline of `vmexit bench`: what a KVM exit, a call, a reset, a fork and a whole machine cost a C program that does
// nothing else.
//
//     raw COUNT_IMAGE MMIO_IMAGE HLT_IMAGE CALL_IMAGE PAGES_IMAGE STEP_IMAGE USER_CALL_IMAGE SYSCALL_IMAGE COMPUTE_IMAGE
//
// The arguments are files with flat guest images, entered at gpa 0 in long mode; the first three guests read the number of
// their exits from the word at 0x500. A request is a line on stdin, its answer a line on stdout:
//
//     pio N          the count guest: N port writes
//     mmio N         the mmio guest: N writes to an address without memory
//     hlt N          the hlt guest: N halts
//     lifecycle N    N times: create a machine, run it to its first exit, destroy it
//     call N         the call guest: N calls of a function, registers in and out
//     step N         the step guest: N instructions, one by one
//     reset-P N      the pages guest: N times: run it, it writes P pages and halts, and reset it
//     pages-P N      the same without the reset of memory
//     fork N         the pages guest: N times: map a snapshot into a VM of a pool, run it, it writes a page and halts
//     fork-new N     the same in a VM made for each
//     user-call N    the user-call guest, in ring 3: N calls of a function, registers in and out
//     syscall N      the syscall guest, in ring 3: N system calls, each answered
//     compute N      the compute guest's code outside of any machine: N times a million rounds
//     pio-each N     as above with `-each`: N times instead of their sum (any kind)
//
//     ok 123456          nanoseconds, or N of them, without the making of the machine (save for lifecycle and fork-new)
//     error KVM_RUN: …   what failed, and why; the program ends
//
// Built with cc -O2 from the .c files of this folder. It ends at the end of its input.

#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "machine.h"

static struct image count_image, mmio_image, hlt_image, call_image, pages_image, step_image;
static struct image user_call_image, syscall_image, compute_image;

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

// Steps through `count` instructions, with one KVM_SET_GUEST_DEBUG for all of them.
static uint64_t steps(uint32_t count, uint64_t *stamps)
{
    struct machine machine = create(&step_image, 0);
    struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
    uint64_t start = now();
    check("KVM_SET_GUEST_DEBUG", ioctl(machine.vcpu, KVM_SET_GUEST_DEBUG, &debug));
    uint64_t last = start;
    for (uint32_t done = 0; done < count; done++) {
        if (enter(&machine) != KVM_EXIT_DEBUG)
            unexpected(machine.run);
        if (stamps) {
            uint64_t time = now();
            stamps[done] = time - last;
            last = time;
        }
    }
    uint64_t end = now();
    destroy(&machine);
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
    if (strcmp(kind, "call") == 0)
        return calls(&call_image, count, each);
    if (strcmp(kind, "user-call") == 0)
        return user_calls(&user_call_image, count, each);
    if (strcmp(kind, "syscall") == 0)
        return system_calls(&syscall_image, count, each);
    if (strcmp(kind, "compute") == 0)
        return computes(&compute_image, count, each);
    if (strcmp(kind, "step") == 0)
        return steps(count, each);
    if (strcmp(kind, "fork") == 0)
        return forks_from_pool(&pages_image, count, each);
    if (strcmp(kind, "fork-new") == 0)
        return forks_made_new(&pages_image, count, each);
    uint32_t pages;
    if (sscanf(kind, "reset-%u", &pages) == 1)
        return resets(&pages_image, pages, 1, count, each);
    if (sscanf(kind, "pages-%u", &pages) == 1)
        return resets(&pages_image, pages, 0, count, each);
    errno = EINVAL;
    die(kind);
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
    struct image *images[] = {
        &count_image, &mmio_image, &hlt_image, &call_image, &pages_image, &step_image,
        &user_call_image, &syscall_image, &compute_image,
    };
    if (argc != 1 + sizeof images / sizeof images[0]) {
        errno = EINVAL;
        die("nine images");
    }
    for (int index = 1; index < argc; index++)
        read_image(argv[index], images[index - 1]);
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
