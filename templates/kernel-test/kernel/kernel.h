#pragma once
#include <stdint.h>

void serial_print(const char *text);
/** Reads up to the end of a line, which it leaves out, and drops what there is no room for. */
void serial_read_line(char *line, unsigned room);

void screen_clear(uint8_t colour);
void screen_print(unsigned line, uint8_t colour, const char *text);
