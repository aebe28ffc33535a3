/* What a process and a child process run: as little as a program with a C library does. */
#include <stdio.h>

int main(void) {
  return puts("hello") < 0;
}
