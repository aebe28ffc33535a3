// The first serial port, COM1: a log, and a line of commands.
#include "kernel.h"
#include "ports.h"

enum { COM1 = 0x3f8, STATUS = COM1 + 5 };
enum { HAS_BYTE = 1, TAKES_BYTE = 0x20 };

void serial_print(const char *text) {
  for (; *text; text++) {
    while (!(in8(STATUS) & TAKES_BYTE)) continue;
    out8(COM1, (uint8_t)*text);
  }
}

void serial_read_line(char *line, unsigned room) {
  unsigned length = 0;
  for (;;) {
    while (!(in8(STATUS) & HAS_BYTE)) continue;
    const char byte = (char)in8(COM1);
    if (byte == '\n') break;
    if (length + 1 < room) line[length++] = byte;
  }
  line[length] = '\0';
}
