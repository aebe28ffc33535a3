// What guests in C share: port I/O, guest physical memory, and the ports that have a meaning by convention.
#pragma once

#include <stdint.h>

#define CONSOLE_PORT 0xe9

// Runs on the stack that the host set up; start.S leaves the result in (R/E)AX and ends the run.
unsigned long main(void);

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

// The empty asm hides the constant: the compiler takes a known address below 4 KiB for a bad null pointer.
static inline void *at(uintptr_t gpa)
{
    __asm__("" : "+r"(gpa));
    return (void *)gpa;
}

#define MEMORY(type, gpa) (*(volatile type *)at(gpa))
