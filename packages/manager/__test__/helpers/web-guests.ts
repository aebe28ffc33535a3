// Guests for the web screen: one that does little, and two that do all they can to be a nuisance.
import { code } from '../../../../__test__/helpers/machine.ts'
import type { HttpDaemon } from './http-daemon.ts'

/** At each tick of the timer sends back what was typed, and changes the screen's first letter. */
const clock = `
  fa             ; cli
  31 c0          ; xor %ax,%ax
  8e d8          ; mov %ax,%ds
  b8 00 b8       ; mov $0xb800,%ax
  8e c0          ; mov %ax,%es
  e8 00 00       ; call 1f
  5e             ; 1: pop %si
  8d 9c 41 00    ; lea isr-1b(%si),%bx
  89 1e 20 00    ; mov %bx,0x20
  8c 0e 22 00    ; mov %cs,0x22
  b0 11 e6 20    ; mov $0x11,%al; out %al,$0x20
  b0 08 e6 21    ; mov $8,%al; out %al,$0x21
  b0 04 e6 21    ; mov $4,%al; out %al,$0x21
  b0 01 e6 21    ; mov $1,%al; out %al,$0x21
  b0 fe e6 21    ; mov $0xfe,%al; out %al,$0x21
  b0 34 e6 43    ; mov $0x34,%al; out %al,$0x43
  30 c0          ; xor %al,%al
  e6 40 e6 40    ; out %al,$0x40; out %al,$0x40
  fb             ; sti
  f4             ; 3: hlt
  26 fe 06 00 00 ; incb %es:0
  ba fd 03       ; 4: mov $0x3fd,%dx
  ec a8 01       ; in (%dx),%al; test $1,%al
  74 f2          ; je 3b
  ba f8 03       ; mov $0x3f8,%dx
  ec ee          ; in (%dx),%al; out %al,(%dx)
  eb f1          ; jmp 4b
  50             ; isr: push %ax
  b0 20 e6 20    ; mov $0x20,%al; out %al,$0x20
  58 cf          ; pop %ax; iret
`

/** Fills the screen again and again, with another letter and colour each time. */
const storm = `
  b8 00 b8       ; mov $0xb800,%ax
  8e c0          ; mov %ax,%es
  fc             ; cld
  31 ff          ; 1: xor %di,%di
  b9 d0 07       ; mov $2000,%cx
  f3 ab          ; rep stosw
  05 07 11       ; add $0x1107,%ax
  eb f4          ; jmp 1b
`

/** Sends the text after it, whose length comes before it, and then echoes. */
const say = `
  8c c8 8e d8    ; mov %cs,%ax; mov %ax,%ds
  fc             ; cld
  e8 00 00       ; call 1f
  5b             ; 1: pop %bx
  8d b7 1f 00    ; lea text-1b+2(%bx),%si
  8b 8f 1d 00    ; mov text-1b(%bx),%cx
  ba f8 03       ; mov $0x3f8,%dx
  f3 6e          ; rep outsb
  ba fd 03       ; 2: mov $0x3fd,%dx
  ec a8 01       ; in (%dx),%al; test $1,%al
  74 f8          ; je 2b
  ba f8 03       ; mov $0x3f8,%dx
  ec ee          ; in (%dx),%al; out %al,(%dx)
  eb f1          ; jmp 2b
`

/** The same, and then sends it again. */
const repeat = `
  8c c8 8e d8    ; mov %cs,%ax; mov %ax,%ds
  fc             ; cld
  e8 00 00       ; call 1f
  5b             ; 1: pop %bx
  8d b7 12 00    ; 2: lea text-1b+2(%bx),%si
  8b 8f 10 00    ; mov text-1b(%bx),%cx
  ba f8 03       ; mov $0x3f8,%dx
  f3 6e          ; rep outsb
  eb f1          ; jmp 2b
`

function withText(listing: string, text: Uint8Array): Uint8Array {
  const length = Buffer.alloc(2)
  length.writeUInt16LE(text.length)
  return Buffer.concat([code(listing), length, text])
}

/** A machine with a screen and an image below a name. */
export function guest(daemon: HttpDaemon, name: string, kind: string, image: Uint8Array): object {
  const payload = { file: daemon.image(`${kind}.bin`, image), format: 'flat', loadGpa: 0x7c00 }
  return { name, mode: 'real', pc: true, screen: 'text', memoryBytes: 2 ** 20, payload }
}

/** A machine that waits for the timer, and echoes. */
export const ticking = (daemon: HttpDaemon, name: string): object =>
  guest(daemon, name, 'clock', code(clock))

/** A machine whose screen is another one whenever it is looked at. */
export const storming = (daemon: HttpDaemon, name: string): object =>
  guest(daemon, name, 'storm', code(storm))

/** A machine that says a text of at most 16 KiB, and echoes. */
export const saying = (daemon: HttpDaemon, name: string, text: Uint8Array): object =>
  guest(daemon, name, name, withText(say, text))

/** A machine that says a text of at most 16 KiB again and again, as fast as it can. */
export const repeating = (daemon: HttpDaemon, name: string, text: Uint8Array): object =>
  guest(daemon, name, name, withText(repeat, text))
