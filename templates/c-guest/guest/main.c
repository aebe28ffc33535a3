// Runs on the bare machine, in long mode: no operating system, and no C library. It asks the host
// for a number, and prints the prime numbers up to it.
#include <stdbool.h>
#include "ports.h"

enum { CONSOLE = 0xe9, LIMIT = 0x100 };
enum { MOST = 1000000 };

static bool is_composite[MOST + 1];

static void print(const char *text) {
  while (*text) out8(CONSOLE, (uint8_t)*text++);
}

static void print_number(uint32_t number) {
  if (number >= 10) print_number(number / 10);
  out8(CONSOLE, (uint8_t)('0' + number % 10));
}

int main(void) {
  const uint32_t limit = in32(LIMIT);
  if (limit > MOST) {
    print("too large\n");
    return 1;
  }
  for (uint32_t number = 2; number <= limit; number++) {
    if (is_composite[number]) continue;
    print_number(number);
    print(" ");
    for (uint64_t next = (uint64_t)number * number; next <= limit; next += number)
      is_composite[next] = true;
  }
  print("\n");
  return 0;
}
