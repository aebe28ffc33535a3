// Guests for the web screen: one that does little.
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

function guest(daemon: HttpDaemon, name: string, kind: string, image: Uint8Array): object {
  const payload = { file: daemon.image(`${kind}.bin`, image), format: 'flat', loadGpa: 0x7c00 }
  return { name, mode: 'real', pc: true, screen: 'text', memoryBytes: 2 ** 20, payload }
}

/** A machine that waits for the timer, and echoes. */
export const ticking = (daemon: HttpDaemon, name: string): object =>
  guest(daemon, name, 'clock', code(clock))
