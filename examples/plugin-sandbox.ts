// Plug-ins that are not trusted answer requests. Each request meets the plug-in as it was after its
// start: what one leaves there, no other finds, and one that crashes or hangs harms no other.
//
//   node --import @oxc-node/core/register examples/plugin-sandbox.ts
//
// prints: hello: HELLO
//         remember 1234: stored
//         recall: nothing stored
//         crash: refused, #PF
//         hang: refused, longer than 500 ms
//         quit: refused, exit
//         forge: refused, #PF
//         hello again: HELLO AGAIN
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GuestFault, GuestTimeout, instantiate } from 'vmexit/process'

// What a stranger has sent.
const plugin = String.raw`
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vmexit.h"

static char stored[64] = "nothing stored";

VMEXIT_EXPORT(void, handle, const char *, char *, size_t);
void handle(const char *request, char *answer, size_t room) {
  if (!strncmp(request, "remember ", 9)) {
    snprintf(stored, sizeof stored, "%s", request + 9);
    snprintf(answer, room, "stored");
  } else if (!strcmp(request, "recall"))
    snprintf(answer, room, "%s", stored);
  else if (!strcmp(request, "crash"))
    strcpy(NULL, request);
  else if (!strcmp(request, "hang"))
    for (volatile int turns = 0;; turns++) {
    }
  else if (!strcmp(request, "quit"))
    exit(1);
  else if (!strcmp(request, "forge"))
    memset((void *)0xfe000000, 0xff, 4096); // where tables of the machine are
  else {
    size_t length = 0;
    for (; request[length] && length + 1 < room; length++)
      answer[length] = (char)toupper((unsigned char)request[length]);
    answer[length] = 0;
  }
}

int main(void) {
  pause();
}
`

function compile(code: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-example-'))
  try {
    const include = fileURLToPath(new URL('../guest/include', import.meta.url))
    const args = ['-O2', '-static', '-w', `-I${include}`, '-x', 'c', '-']
    execFileSync('cc', [...args, '-o', join(folder, 'plugin')], { input: code })
    return readFileSync(join(folder, 'plugin'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const room = 256
using sandbox = await instantiate(compile(plugin), { timeoutMs: 500 })

function answer(request: string): string {
  try {
    const at = sandbox.alloc(room)
    sandbox.exports.handle!(request, at, room)
    // The answer is a stranger's, too: it is text, and no longer than its room.
    const [text] = Buffer.from(sandbox.memory.read(at, room)).toString('latin1').split('\0')
    return text!
  } catch (error) {
    if (error instanceof GuestTimeout) return `refused, longer than ${error.timeoutMs} ms`
    if (error instanceof GuestFault) return `refused, ${error.name}`
    throw error
  } finally {
    sandbox.reset()
  }
}

const requests = ['hello', 'remember 1234', 'recall', 'crash', 'hang', 'quit', 'forge']
for (const request of [...requests, 'hello again']) {
  console.log(`${request}: ${answer(request)}`)
}
