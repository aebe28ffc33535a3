// A BIOS from elsewhere: Debian's SeaBIOS starts at the reset vector, says what it does on port
// 0x402, finds what a PC has, and boots from a disk that JavaScript is.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import test, { type ExecutionContext } from 'ava'

import { AtaDisk } from '../examples/devices/ata-disk.ts'
import { type Route, VirtualMachine, type VirtualMachineOptions } from '../src/index.ts'
import { debianTree } from './helpers/debian.ts'
import { kvmTest } from './helpers/kvm.ts'
import { vmError } from './helpers/machine.ts'
import { isSlow } from './helpers/speed.ts'

const mib = 1024 * 1024

/** A test with the trees of Debian packages, skipped where there are none. */
function biosTest(
  title: string,
  packages: readonly string[],
  body: (t: ExecutionContext, tree: string) => Promise<void>,
): void {
  kvmTest(title, async (t) => {
    t.timeout(1_300_000)
    const tree = await debianTree(...packages)
    if (tree.startsWith('skipped')) {
      t.log(tree)
      t.pass()
      return
    }
    await body(t, tree)
  })
}

const share = 'usr/share/seabios'

/** Text without what moves a terminal's cursor, which SeaBIOS does when its clock has it so. */
// oxlint-disable-next-line no-control-regex
const plain = (text: string): string => text.replace(/\x1b(c|\[[0-9;?]*[A-Za-z])|\r(?!\n)/g, '')

/** A machine with an image of SeaBIOS. */
function machine(
  tree: string,
  image: string,
  { payload, routes, ...more }: Partial<VirtualMachineOptions> = {},
  hears?: Route,
): { vm: VirtualMachine; said: (text: string) => Promise<string>; typed: () => string } {
  const bytes = readFileSync(join(tree, share, image))
  let [said, shown] = ['', '']
  const vm = new VirtualMachine({
    pc: true,
    memoryBytes: 32 * mib,
    payload: { ...payload, image: bytes, format: 'firmware' },
    routes: [
      hears ?? {
        port: 0x402,
        to: 'console',
        onData: (text) => (said += Buffer.from(text).toString()),
      },
      ...(routes ?? []),
    ],
    ...more,
  })
  vm.serial.on('data', (text: Buffer) => (shown += text))
  /** Runs until a text has come, on either way. */
  const until = async (text: string): Promise<string> => {
    const running = vm.run({ timeoutMs: 1_200_000 })
    const timer = setInterval(() => {
      if (said.includes(text) || plain(shown).includes(text)) vm.stop()
    }, 50)
    const { reason } = await running.finally(() => clearInterval(timer))
    return reason === 'stopped' ? said : `${reason}\n${said}\n${shown}`
  }
  return { vm, said: until, typed: () => plain(shown) }
}

for (const image of ['bios.bin', 'bios-256k.bin', 'bios-microvm.bin']) {
  biosTest(`SeaBIOS finds nothing to boot from: ${image}`, ['seabios'], async (t, tree) => {
    const { vm, said, typed } = machine(tree, image)
    using _ = vm
    t.like(vm.loaded, { format: 'firmware', mode: 'real', entryGpa: 0xffff_fff0 })
    const text = await said('No bootable device.')
    for (const line of [
      'QEMU fw_cfg DMA interface supported',
      'qemu/e820: addr 0x0000000000000000 len 0x0000000002000000 [RAM]',
      'Detected non-PCI system',
      'Found 1 cpu(s) max supported 1 cpu(s)',
      'fe000000 - 00000000ff000000 = 2 RESERVED',
      'No bootable device.',
    ])
      t.true(text.includes(line), `${line} in\n${text}`)
    // Without a video BIOS its screen is the serial port.
    t.regex(typed(), /SeaBIOS \(version/)
  })
}

biosTest(
  'SeaBIOS starts every vCPU, and a video BIOS from a file',
  ['seabios'],
  async (t, tree) => {
    const vgabios = readFileSync(join(tree, share, 'vgabios-isavga.bin'))
    const files = { 'vgaroms/vgabios.bin': vgabios, bootorder: Buffer.from('HALT\n\0') }
    const payload = { image: new Uint8Array(0), files }
    const { vm, said } = machine(tree, 'bios-256k.bin', { vcpus: 3, payload })
    using _ = vm
    const text = await said('No bootable device.')
    t.true(text.includes('Found 3 cpu(s) max supported 3 cpu(s)'), text)
    t.true(text.includes('set VGA mode 3'), text)
    // What is on the screen is in memory: a character and its colours in turn.
    const cells = Buffer.from(vm.memory.read(0xb8000, 2 * 80 * 25))
    const screen = Buffer.from(cells.filter((_byte, at) => at % 2 === 0)).toString('latin1')
    t.regex(screen, /^SeaBIOS \(version .*No bootable device/s)
  },
)

biosTest('A BIOS goes on in a fork', ['seabios'], async (t, tree) => {
  let before = ''
  // Each character waits for its device, which ends the run before anything more is said.
  const write = (_offset: number, _size: number, value: number | bigint): void => {
    before += String.fromCharCode(Number(value))
    if (before.endsWith('Found QEMU fw_cfg')) vm.stop()
  }
  // Without it SeaBIOS says nothing there.
  const read = (): number => 0xe9
  const { vm } = machine(tree, 'bios.bin', {}, { port: 0x402, device: { read, write } })
  using _ = vm
  t.is((await vm.run({ timeoutMs: 1_200_000 })).reason, 'stopped', before)
  t.true(before.endsWith('Found QEMU fw_cfg'), before)
  using snapshot = vm.snapshot()
  let told = ''
  const tell = (_offset: number, _size: number, value: number | bigint): void => {
    told += String.fromCharCode(Number(value))
  }
  using fork = new VirtualMachine({
    snapshot,
    routes: [{ port: 0x402, device: { read, write: tell } }],
  })
  const running = fork.run({ timeoutMs: 1_200_000 })
  const timer = setInterval(() => told.includes('No bootable device.') && fork.stop(), 50)
  t.is((await running.finally(() => clearInterval(timer))).reason, 'stopped', told)
  t.true((before + told).includes('Detected non-PCI system'), told)
})

/** A disk of 4 MiB whose GRUB has `modules` in it. */
function grubDisk(tree: string, modules: readonly string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-grub-'))
  try {
    const parts = join(tree, 'usr/lib/grub/i386-pc')
    const core = join(folder, 'core.img')
    const args = ['-d', parts, '-O', 'i386-pc', '-p', '(hd0)/boot/grub', '-o', core, ...modules]
    execFileSync(join(tree, 'usr/bin/grub-mkimage'), args)
    const disk = new Uint8Array(4 * mib)
    disk.set(readFileSync(join(parts, 'boot.img')))
    // From the second sector on, which boot.img reads, and which knows how many follow.
    disk.set(readFileSync(core), 512)
    return disk
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Its types are those of the built package. */
const routesOf = (disk: AtaDisk): Route[] => disk.routes() as unknown as Route[]

const grub = ['seabios', 'grub-pc-bin', 'grub-common']

/** GRUB is read by the word and unpacks itself: an emulated processor takes too long for it. */
function grubTest(title: string, body: Parameters<typeof biosTest>[2]): void {
  if (isSlow()) test.skip(`${title}: an emulated processor takes too long`, (t) => t.pass())
  else biosTest(title, grub, body)
}

grubTest('GRUB comes from a disk in TypeScript and shows its prompt', async (t, tree) => {
  const bytes = grubDisk(tree, ['biosdisk', 'normal', 'ls'])
  const disk = new AtaDisk({
    bytes: bytes.length,
    read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
  })
  const { vm, said, typed } = machine(tree, 'bios.bin', { routes: routesOf(disk) })
  using _ = vm
  const text = await said('grub> ')
  t.true(text.includes('ata0-0: vmexit example ATA-7 Hard-Disk (4 MiBytes)'), text)
  t.regex(typed(), /GRUB loading\..*GNU GRUB .*grub> /s)
  // It has a keyboard, too: the serial port.
  vm.serial.write('ls\r')
  await said('(hd0)')
  t.regex(typed(), /grub> ?ls\s*\(hd0\)/)
})

grubTest('GRUB comes from a virtio disk: vmexit boot --firmware', async (t, tree) => {
  const folder = mkdtempSync(join(tmpdir(), 'vmexit-boot-'))
  try {
    const disk = join(folder, 'disk.img')
    writeFileSync(disk, grubDisk(tree, ['biosdisk']))
    const cli = new URL('../dist/cli/main.js', import.meta.url).pathname
    const bios = join(tree, share, 'bios-256k.bin')
    const args = [cli, 'boot', disk, '--firmware', bios, '--memory', '32M', '--timeout', '1200s']
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let shown = ''
    for await (const text of child.stdout) {
      shown += String(text)
      if (plain(shown).includes('grub rescue> ')) child.kill()
    }
    t.regex(plain(shown), /SeaBIOS .*Booting from Hard Disk.*GRUB loading\..*grub rescue> /s)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

grubTest('a disk that fails is a boot that fails', async (t, tree) => {
  const bytes = grubDisk(tree, ['biosdisk'])
  let reads = 0
  const disk = new AtaDisk({
    bytes: bytes.length,
    read(offset, into) {
      if (++reads > 1) throw new Error('a bad sector')
      into.set(bytes.subarray(offset, offset + into.length))
    },
  })
  const { vm, said, typed } = machine(tree, 'bios.bin', { routes: routesOf(disk) })
  using _ = vm
  await said('Error')
  t.regex(typed(), /GRUB Read Error/)
})

kvmTest('firmware and files that are none are refused', (t) => {
  const image = new Uint8Array(65_536)
  const refused = (payload: object, code: Parameters<typeof vmError>[0], what: RegExp): void => {
    const options = { pc: true, payload: { image, format: 'firmware', ...payload } as const }
    const make = () => new VirtualMachine(options as VirtualMachineOptions)
    t.throws(make, vmError(code, what))
  }
  refused({ image: new Uint8Array(0) }, 'ERR_PAYLOAD', /payload\.image must not be empty/)
  for (const bytes of [1, 65_535, 65_537, 17 * mib])
    refused({ image: new Uint8Array(bytes) }, 'ERR_PAYLOAD', new RegExp(`65536.*got ${bytes}$`))
  refused({ loadGpa: 0x7c00 }, 'ERR_INVALID_OPTION', /loadGpa goes with format flat/)
  refused({ entryGpa: 0x7c00 }, 'ERR_INVALID_OPTION', /entryGpa goes with format/)
  const bytes = new Uint8Array(1)
  const many = Object.fromEntries(Array.from({ length: 57 }, (_, n) => [`file ${n}`, bytes]))
  refused({ files: many }, 'ERR_LIMIT', /payload\.files: at most 56, got 57/)
  refused({ files: { ['n'.repeat(56)]: bytes } }, 'ERR_LIMIT', /at most 55 bytes, got 56/)
  refused({ files: { large: new Uint8Array(16 * mib + 1) } }, 'ERR_LIMIT', /at most 16777216 bytes/)
  refused({ files: { 'etc/e820': bytes } }, 'ERR_INVALID_OPTION', /the machine makes itself/)
  refused(
    { files: { text: 'no bytes' } },
    'ERR_INVALID_OPTION',
    /files\['text'\] must be a Uint8Array/,
  )
  refused({ files: [bytes] }, 'ERR_INVALID_OPTION', /payload\.files must be an object/)
  refused({ format: 'flat', files: { a: bytes } }, 'ERR_INVALID_OPTION', /mode must be given/)
  const flat = { mode: 'real', format: 'flat', files: { a: bytes } }
  t.throws(
    () => new VirtualMachine({ mode: 'real', pc: true, payload: { ...flat, image } } as never),
    vmError('ERR_INVALID_OPTION'),
  )
})
