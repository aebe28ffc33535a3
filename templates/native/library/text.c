// A library with a C library of its own. It runs in ring 3 of a virtual machine: what it does wrong
// is an exception for the caller, and harms nothing else.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmexit.h"

VMEXIT_EXPORT(int, add, int, int);
int add(int a, int b) { return a + b; }

// How many words a text has.
VMEXIT_EXPORT(int, count_words, const char *);
int count_words(const char *text) {
  int count = 0;
  for (int is_inside = 0; *text; text++) {
    const int is_word = !isspace((unsigned char)*text);
    count += is_word && !is_inside;
    is_inside = is_word;
  }
  return count;
}

// A function of the host's, which this one calls.
VMEXIT_IMPORT(int, compare, const char *, const char *);

static int by_host(const void *a, const void *b) {
  return compare(*(const char *const *)a, *(const char *const *)b);
}

// The word of a text that comes first, by the host's order. It is valid until the next call.
VMEXIT_EXPORT(const char *, first_word, const char *);
const char *first_word(const char *text) {
  static char copy[4096];
  char *words[512];
  size_t count = 0;
  strncpy(copy, text, sizeof copy - 1);
  for (char *word = strtok(copy, " "); word && count < 512; word = strtok(NULL, " "))
    words[count++] = word;
  qsort(words, count, sizeof *words, by_host);
  return count > 0 ? words[0] : "";
}

// A mistake: it writes wherever the caller says.
VMEXIT_EXPORT(void, poke, int *);
void poke(int *address) { *address = 1; }

int main(void) {
  pause(); // started: from here on functions are called
}
