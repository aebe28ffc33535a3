import { code } from '../../../../__test__/helpers/machine.ts'

const kernelGpa = 0x10_0000

/**
 * Fills the text screen with all characters in all colours, greets on the serial port, and then
 * shows the codes of pressed keys on the screen and sends back what comes on the serial port.
 */
const listing = `
  bf 00 80 0b 00        ; mov $0xb8000,%edi
  31 c9                 ; xor %ecx,%ecx
  89 c8                 ; 1: mov %ecx,%eax
  d1 e8                 ; shr $1,%eax
  88 c4                 ; mov %al,%ah
  88 c8                 ; mov %cl,%al
  80 e4 7f              ; and $0x7f,%ah
  66 ab                 ; stosw
  41                    ; inc %ecx
  81 f9 d0 07 00 00     ; cmp $2000,%ecx
  75 ea                 ; jne 1b
  ba f8 03 00 00        ; mov $0x3f8,%edx
  be 80 00 10 00        ; mov $greeting,%esi
  ac                    ; 2: lodsb
  84 c0                 ; test %al,%al
  74 03                 ; jz 3f
  ee                    ; out %al,(%dx)
  eb f8                 ; jmp 2b
  bf 00 80 0b 00        ; 3: mov $0xb8000,%edi
  e4 64                 ; 4: in $0x64,%al
  a8 01                 ; test $1,%al
  74 0c                 ; jz 5f
  e4 60                 ; in $0x60,%al
  a8 80                 ; test $0x80,%al
  75 f4                 ; jnz 4b
  b4 1f                 ; mov $0x1f,%ah
  66 ab                 ; stosw
  eb ee                 ; jmp 4b
  ba fd 03 00 00        ; 5: mov $0x3fd,%edx
  ec                    ; in (%dx),%al
  a8 01                 ; test $1,%al
  74 e4                 ; jz 4b
  b2 f8                 ; mov $0xf8,%dl
  ec                    ; in (%dx),%al
  ee                    ; out %al,(%dx)
  eb de                 ; jmp 4b
`

/** What the guest says when it runs. */
export const greeting = 'ready\r\n'

/** Bytes of the header before the code, and where the greeting lies. */
const [headerBytes, greetingAt] = [32, 0x80]

/** A multiboot kernel, which needs no word about its format. */
export function echoKernel(): Uint8Array {
  const [magic, flags] = [0x1bad_b002, 0x1_0000]
  const head = [magic, flags, -(magic + flags), kernelGpa, kernelGpa, 0, 0, kernelGpa + headerBytes]
  const image = Buffer.alloc(greetingAt + greeting.length + 1)
  for (const [index, word] of head.entries()) image.writeInt32LE(word | 0, index * 4)
  image.set(code(listing), headerBytes)
  image.write(greeting, greetingAt, 'latin1')
  return image
}
