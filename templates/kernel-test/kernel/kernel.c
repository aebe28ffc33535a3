// A kernel that shows a line, and does what the serial port says: `ping`, `panic` and `off`.
#include <stdbool.h>
#include "kernel.h"
#include "ports.h"

enum { MULTIBOOT_MAGIC = 0x2badb002 };
enum { WHITE_ON_BLUE = 0x1f, WHITE_ON_RED = 0x4f };

static bool is_same(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static void panic(const char *why) {
  screen_clear(WHITE_ON_RED);
  screen_print(0, WHITE_ON_RED, "KERNEL PANIC");
  screen_print(1, WHITE_ON_RED, why);
  serial_print("panic: ");
  serial_print(why);
  serial_print("\n");
  for (;;) __asm__ volatile("cli; hlt");
}

static void power_off(void) {
  for (;;) out16(0x604, 0x2000);        // ACPI
}

void kernel(uint32_t magic) {
  if (magic != MULTIBOOT_MAGIC) panic("not loaded by a multiboot loader");
  screen_clear(WHITE_ON_BLUE);
  screen_print(0, WHITE_ON_BLUE, "The kernel is up.");
  serial_print("kernel: ready\n");
  for (;;) {
    char line[64];
    serial_read_line(line, sizeof line);
    if (is_same(line, "ping")) serial_print("pong\n");
    else if (is_same(line, "panic")) panic("as you wish");
    else if (is_same(line, "off")) power_off();
    else serial_print("what?\n");
  }
}
