// What a native library for `instantiate` of vmexit/process says of itself: the functions that it
// exports, and those that it imports from JavaScript. For C11 and C++17, with gcc or clang, with or
// without a libc, at a fixed address or position-independent. Nothing here calls a libc.
//
//   VMEXIT_EXPORT(double, sum, const double *, size_t);   // before or after the function itself
//   VMEXIT_IMPORT(void, report, const char *);            // declares report() and defines it
//
// A function without parameters has `void` as its types. The types are those of C by name, of
// docs/native.md; a typedef of your own is not among them. Parameters of an import are at most six
// integers or pointers and eight floating-point numbers.
//
// Each line leaves a record in the section .vmexit, aligned to 8 bytes, little-endian:
//   u32 magic 0x31786d76, u32 bytes of the record, u32 kind (1 export, 2 import), i32 zero,
//   i64 from this field to the function (0 for an import),
//   the name and the signature, each ended by a zero byte, then zeros.
#ifndef VMEXIT_H
#define VMEXIT_H

#if !defined(__x86_64__) || !defined(__ELF__) || defined(__ILP32__)
#error "vmexit.h is for x86-64 ELF"
#endif

#ifdef __cplusplus
#define VMEXIT_C extern "C"
#else
#define VMEXIT_C extern
#endif

// What refers to a record of an export is not known to the linker, which has to keep it with
// --gc-sections; assemblers that came before this flag have no word for that.
#if defined(__has_attribute)
#if __has_attribute(retain)
#define VMEXIT_RETAIN "R"
#endif
#endif
#ifndef VMEXIT_RETAIN
#define VMEXIT_RETAIN ""
#endif

// Link-time optimisation of gcc does not look into assembly, as that of clang does.
#if defined(__clang__)
#define VMEXIT_USED
#else
#define VMEXIT_USED __attribute__((used, externally_visible))
#endif

#define VMEXIT_RECORD(kind, offset, name, signature)                                              \
  ".balign 8\n"                                                                                   \
  "0: .long 0x31786d76, 1f - 0b, " kind ", 0\n"                                                   \
  ".quad " offset "\n"                                                                            \
  ".asciz \"" name "\", \"" signature "\"\n"                                                      \
  ".balign 8\n"                                                                                   \
  "1:\n"

/** Tells that this library exports a function, and declares it. */
#define VMEXIT_EXPORT(result, name, ...)                                                          \
  VMEXIT_C VMEXIT_USED result name(__VA_ARGS__);                                                  \
  __asm__(".pushsection .vmexit,\"a" VMEXIT_RETAIN "\",@progbits\n"                               \
          VMEXIT_RECORD("1", #name " - .", #name, #result "(" #__VA_ARGS__ ")")                   \
          ".popsection")

// The host finds the address of the record in rax, integers in rdi, rsi, rdx, r10, r8 and r9 and
// floating-point numbers at rsp; it leaves its answer in rax or at rsp. A group, so that a header
// may declare an import for several sources, and one that no code calls goes with --gc-sections.
/** Declares and defines a function that JavaScript answers. */
#define VMEXIT_IMPORT(result, name, ...)                                                          \
  VMEXIT_C result name(__VA_ARGS__);                                                              \
  __asm__(".ifndef vmexit.import." #name "\n"                                                     \
          ".pushsection .vmexit,\"aG\",@progbits,vmexit.import." #name ",comdat\n"                \
          ".hidden vmexit.import." #name "\n"                                                     \
          ".weak vmexit.import." #name "\n"                                                       \
          ".balign 8\n"                                                                           \
          "vmexit.import." #name ":\n"                                                            \
          VMEXIT_RECORD("2", "0", #name, #result "(" #__VA_ARGS__ ")")                            \
          ".popsection\n"                                                                         \
          ".pushsection .text.vmexit." #name ",\"axG\",@progbits,vmexit.import." #name ",comdat\n" \
          ".weak " #name "\n"                                                                     \
          ".type " #name ", @function\n"                                                          \
          #name ":\n"                                                                             \
          "  mov %rcx, %r10\n"                                                                    \
          "  sub $64, %rsp\n"                                                                     \
          "  movsd %xmm0, (%rsp)\n"                                                               \
          "  movsd %xmm1, 8(%rsp)\n"                                                              \
          "  movsd %xmm2, 16(%rsp)\n"                                                             \
          "  movsd %xmm3, 24(%rsp)\n"                                                             \
          "  movsd %xmm4, 32(%rsp)\n"                                                             \
          "  movsd %xmm5, 40(%rsp)\n"                                                             \
          "  movsd %xmm6, 48(%rsp)\n"                                                             \
          "  movsd %xmm7, 56(%rsp)\n"                                                             \
          "  lea vmexit.import." #name "(%rip), %rax\n"                                           \
          "  syscall\n"                                                                           \
          "  movsd (%rsp), %xmm0\n"                                                               \
          "  add $64, %rsp\n"                                                                     \
          "  ret\n"                                                                               \
          ".size " #name ", . - " #name "\n"                                                      \
          ".popsection\n"                                                                         \
          ".endif")

#endif
