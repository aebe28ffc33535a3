// The screen of a PC: 25 lines of 80 characters at 0xb8000, each with its colour.
#include "kernel.h"

enum { LINES = 25, COLUMNS = 80 };

static volatile uint16_t *const cells = (volatile uint16_t *)0xb8000;

void screen_clear(uint8_t colour) {
  for (unsigned cell = 0; cell < LINES * COLUMNS; cell++)
    cells[cell] = (uint16_t)(colour << 8 | ' ');
}

void screen_print(unsigned line, uint8_t colour, const char *text) {
  for (unsigned column = 0; text[column] && column < COLUMNS; column++)
    cells[line * COLUMNS + column] = (uint16_t)(colour << 8 | (uint8_t)text[column]);
}
