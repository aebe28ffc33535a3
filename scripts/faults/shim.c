// Makes system calls of the addon fail on purpose. Preloaded into Node.js (LD_PRELOAD), it stands in front of libc for calls that come from
// vmexit*.node and from nowhere else; loaded once more as an addon, it hands JavaScript the control words. See control.mjs for their meaning.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>

enum kind { IOCTL = 1, MMAP, PTHREAD_CREATE, EVENTFD, MADVISE, SIGMASK, PTHREAD_KILL, OPEN, SIGACTION };

enum { ARMED, KIND, REQUEST, SKIP, TIMES, ERRNO, FIRED, SEEN, LOG, LOG_ENTRIES = 8192 };

// Node-API, as much as is used; in a process other than Node.js it is absent.
extern __attribute__((weak)) int napi_create_external_arraybuffer(void *env, void *data, size_t bytes, void *finalize, void *hint,
                                                                  void **result);

static _Atomic int32_t words[LOG + LOG_ENTRIES];

#define NEXT(name) \
    static __typeof__(name) *next; \
    if (next == NULL) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int from_addon(void *caller) {
    Dl_info info;
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) return 0;
    const char *name = strrchr(info.dli_fname, '/');
    name = name == NULL ? info.dli_fname : name + 1;
    size_t length = strlen(name);
    return strncmp(name, "vmexit", 6) == 0 && length > 5 && strcmp(name + length - 5, ".node") == 0;
}

// Counts the call, and says with which errno it shall fail; 0 lets it through.
static int fault(enum kind kind, uint32_t request, void *caller) {
    int armed = atomic_load(&words[ARMED]);
    if (armed == 0 || !from_addon(caller)) return 0;
    int index = atomic_fetch_add(&words[SEEN], 1);
    if (index < LOG_ENTRIES) atomic_store(&words[LOG + index], (int32_t)((uint32_t)kind << 16 | (request & 0xffff)));
    if (armed == 1 || atomic_load(&words[KIND]) != (int)kind) return 0;
    int wanted = atomic_load(&words[REQUEST]);
    if (wanted != -1 && wanted != (int)(request & 0xffff)) return 0;
    if (atomic_fetch_sub(&words[SKIP], 1) > 0) return 0;
    if (atomic_fetch_sub(&words[TIMES], 1) <= 0) return 0;
    atomic_fetch_add(&words[FIRED], 1);
    return atomic_load(&words[ERRNO]);
}

#define FAIL_FROM(kind, request, failed) \
    do { \
        int code = fault(kind, request, __builtin_return_address(0)); \
        if (code != 0) { \
            errno = code; \
            return failed; \
        } \
    } while (0)

// A call that returns its error.
#define RETURN_FROM(kind, request) \
    do { \
        int code = fault(kind, request, __builtin_return_address(0)); \
        if (code != 0) return code; \
    } while (0)

int ioctl(int fd, unsigned long request, ...) {
    NEXT(ioctl);
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    // KVMIO. The number alone tells what is asked; size and direction follow from it.
    if ((request >> 8 & 0xff) == 0xae) FAIL_FROM(IOCTL, (uint32_t)(request & 0xff), -1);
    return next(fd, request, argument);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    NEXT(mmap);
    FAIL_FROM(MMAP, 0, MAP_FAILED);
    return next(address, bytes, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset) {
    NEXT(mmap64);
    FAIL_FROM(MMAP, 0, MAP_FAILED);
    return next(address, bytes, protection, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    NEXT(pthread_create);
    RETURN_FROM(PTHREAD_CREATE, 0);
    return next(thread, attributes, start, argument);
}

int eventfd(unsigned int count, int flags);
int eventfd(unsigned int count, int flags) {
    NEXT(eventfd);
    FAIL_FROM(EVENTFD, 0, -1);
    return next(count, flags);
}

int madvise(void *address, size_t bytes, int advice) {
    NEXT(madvise);
    FAIL_FROM(MADVISE, (uint32_t)advice, -1);
    return next(address, bytes, advice);
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    NEXT(pthread_sigmask);
    RETURN_FROM(SIGMASK, 0);
    return next(how, set, old);
}

// Asking for a handler does not fail.
int sigaction(int signal, const struct sigaction *action, struct sigaction *old) {
    NEXT(sigaction);
    if (action != NULL) FAIL_FROM(SIGACTION, 0, -1);
    return next(signal, action, old);
}

// Only a real-time signal needs room in a queue.
int pthread_kill(pthread_t thread, int signal) {
    NEXT(pthread_kill);
    if (signal >= SIGRTMIN) RETURN_FROM(PTHREAD_KILL, 0);
    return next(thread, signal);
}

int open64(const char *path, int flags, ...) {
    NEXT(open64);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    FAIL_FROM(OPEN, 0, -1);
    return next(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    NEXT(open);
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = va_arg(arguments, mode_t);
    va_end(arguments);
    FAIL_FROM(OPEN, 0, -1);
    return next(path, flags, mode);
}

void *napi_register_module_v1(void *env, void *exports);
void *napi_register_module_v1(void *env, void *exports) {
    void *buffer = NULL;
    if (napi_create_external_arraybuffer == NULL) return exports;
    if (napi_create_external_arraybuffer(env, (void *)words, sizeof words, NULL, NULL, &buffer) != 0) return exports;
    return buffer;
}
