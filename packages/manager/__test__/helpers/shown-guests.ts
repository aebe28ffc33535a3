// Guests for the web screen: one that shows what is typed, one that asks routes, one that is lost.
import { code } from '../../../../__test__/helpers/machine.ts'
import type { HttpDaemon } from './http-daemon.ts'
import { guest } from './web-guests.ts'

/** Shows the 16 colours, and what is typed by the keyboard; sends back what comes by the port. */
const typist = `
  fa             ; cli
  31 c0          ; xor %ax,%ax
  8e d8          ; mov %ax,%ds
  b8 00 b8       ; mov $0xb800,%ax
  8e c0          ; mov %ax,%es
  31 ff          ; xor %di,%di
  b8 db 00       ; mov $0xdb,%ax: a full block
  ab             ; 1: stos %ax,%es:(%di)
  fe c4          ; inc %ah
  80 fc 10       ; cmp $0x10,%ah
  75 f8          ; jne 1b
  bf a0 00       ; mov $160,%di: the second line
  ba fd 03       ; 4: mov $0x3fd,%dx
  ec a8 01       ; in (%dx),%al; test $1,%al
  74 05          ; je 2f
  ba f8 03       ; mov $0x3f8,%dx
  ec ee          ; in (%dx),%al; out %al,(%dx)
  e4 64 a8 01    ; 2: in $0x64,%al; test $1,%al
  74 11          ; je 3f
  e4 60 a8 80    ; in $0x60,%al; test $0x80,%al
  75 0b          ; jne 3f
  bb 80 7c       ; mov $table,%bx
  d7             ; xlat
  84 c0          ; test %al,%al
  74 03          ; je 3f
  b4 1e          ; mov $0x1e,%ah: yellow on blue
  ab             ; stos %ax,%es:(%di)
  ba 00 06       ; 3: mov $0x600,%dx
  ed f6 c4 01    ; in (%dx),%ax; test $1,%ah
  74 d3          ; je 4b
  ba 04 06       ; mov $0x604,%dx: off
  b8 00 20       ; mov $0x2000,%ax
  ef f4          ; out %ax,(%dx); hlt
`

/** Letters by the codes of their keys, in set 1. */
const rows = { 0x10: 'qwertyuiop', 0x1e: 'asdfghjkl', 0x2c: 'zxcvbnm', 0x39: ' ' }
const tableAt = 0x80

function typistImage(): Uint8Array {
  const image = new Uint8Array(2 * tableAt)
  image.set(code(typist))
  for (const [first, row] of Object.entries(rows))
    image.set(new TextEncoder().encode(row), tableAt + Number(first))
  return image
}

/** 1: in $0x10,%al; out %al,$0x11; out %al,$0x11; jmp 1b */
const asking = 'e4 10 e6 11 e6 11 eb f8'

/** mov $42,%al; out %al,$0x10: nothing is there. */
const lost = 'b0 2a e6 10 f4'

/** A machine whose screen shows the 16 colours, and below them what is typed. */
export const typing = (daemon: HttpDaemon, name: string): object =>
  guest(daemon, name, 'typist', typistImage())

/** A machine that crashes at once. */
export function losing(daemon: HttpDaemon, name: string): object {
  const file = daemon.image('lost.bin', code(lost))
  return { name, mode: 'real', payload: { file, format: 'flat' } }
}

/** A machine that asks two routes again and again, one of them twice as often. */
export function routed(daemon: HttpDaemon, name: string): object {
  const file = daemon.image('routed.bin', code(asking))
  const routes = [
    { port: 0x10, to: 'constant', value: 1 },
    { port: 0x11, to: 'count' },
  ]
  return { name, mode: 'real', payload: { file, format: 'flat' }, routes }
}
