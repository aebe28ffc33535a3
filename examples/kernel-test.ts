// A test of a kernel by its screen and keyboard: waits for a prompt, types a command, and waits for
// what the kernel says. Of a Linux kernel with an initramfs that has a shell, where KVM boots one:
//
//   node --import @oxc-node/core/register examples/kernel-test.ts [vmlinuz initramfs.cpio]
//
// prints: version was answered: mini 1.0
import { readFileSync } from 'node:fs'
import { VirtualMachine, type VirtualMachineOptions } from 'vmexit'

/** A kernel of a few bytes: it shows what is typed, and answers every line with its version. */
// prettier-ignore
const mini = Uint8Array.of(
  0xb8, 0x00, 0xb8,   //     mov ax, 0xb800
  0x8e, 0xc0,         //     mov es, ax
  0x31, 0xff,         //     xor di, di
  0xb8, 0x3e, 0x07,   //     mov ax, 0x073e    a prompt, grey on black
  0xab,               //     stosw
  0xe4, 0x64,         // 1:  in al, 0x64
  0xa8, 0x01,         //     test al, 1
  0x74, 0xfa,         //     jz 1b
  0xe4, 0x60,         //     in al, 0x60
  0x84, 0xc0,         //     test al, al
  0x78, 0xf4,         //     js 1b             a key was released
  0x3c, 0x1c,         //     cmp al, 0x1c
  0x74, 0x07,         //     je 2f             Enter
  0xbb, 0x29, 0x7c,   //     mov bx, 0x7c29    the characters, 0x10 bytes before
  0xd7,               //     xlat
  0xab,               //     stosw
  0xeb, 0xe9,         //     jmp 1b
  0xbf, 0xa0, 0x00,   // 2:  mov di, 160       the second line
  0xbe, 0x30, 0x7c,   //     mov si, 0x7c30
  0xac,               // 3:  lodsb
  0x84, 0xc0,         //     test al, al
  0x74, 0xde,         //     jz 1b
  0xab,               //     stosw
  0xeb, 0xf8,         //     jmp 3b
  ...Buffer.from('mini 1.0\0'),
  ...Buffer.from("qwertyuiop[]\0\0asdfghjkl;'`\0\\zxcvbnm"),
)

const [kernel, initrd] = process.argv.slice(2)
const isLinux = kernel !== undefined && initrd !== undefined
const guest: Partial<VirtualMachineOptions> = isLinux
  ? {
      memoryBytes: 512 * 2 ** 20,
      payload: { image: readFileSync(kernel), initrd: readFileSync(initrd), cmdline: 'quiet' },
    }
  : { mode: 'real', memoryBytes: 2 ** 20, payload: { image: mini, loadGpa: 0x7c00 } }
const test = isLinux
  ? { prompt: '#', command: 'uname', answer: /^Linux$/m }
  : { prompt: '>', command: 'version', answer: /^mini \S+/m }

using vm = new VirtualMachine({ pc: true, screen: 'text', ...guest } as VirtualMachineOptions)
const { screen, keyboard } = vm
const run = vm.run({ timeoutMs: 120_000 })
await screen!.waitFor(test.prompt, { timeoutMs: 100_000 })
await keyboard.type(`${test.command}\n`)
const answer = await screen!.waitFor(test.answer)
console.log(`${test.command} was answered: ${answer?.[0]}`)
vm.stop()
await run
