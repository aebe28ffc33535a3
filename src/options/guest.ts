/**
 * An embedded guest program, with an image for each mode that it knows. `guest/README.md` describes
 * what each one does, and what it leaves in memory.
 *
 * @category Machine
 */
export class Guest {
  // Private, so that no object that merely looks alike passes as a guest.
  readonly #name: string

  /** @internal */
  constructor(name: string) {
    this.#name = name
    Object.freeze(this)
  }

  /** Whether a value is a guest. @internal */
  static is(value: unknown): value is Guest {
    return typeof value === 'object' && value !== null && #name in value
  }

  /** Its name in `guest/`. */
  get name(): string {
    return this.#name
  }
}

/**
 * The embedded guest programs.
 *
 * @example
 * ```ts
 * using vm = new VirtualMachine({
 *   mode: 'real',
 *   payload: guests.hello,
 *   routes: [{ port: 0xe9, to: 'console' }],
 * })
 * console.log(vm.runSync().outputText) // Hello, world!
 * ```
 *
 * @category Machine
 */
export const guests = Object.freeze({
  /**
   * Prints `Hello, world!`, stores 42 at 0x400 and halts with RAX = 42. Every mode and privilege.
   */
  hello: new Guest('hello'),
  /** Echoes port 0x60 to 0xe9 until it reads 0. Real and long mode, both privileges. */
  input: new Guest('input'),
  /**
   * Reads port 0x61, writes the value plus one to 0x62, until it reads 0xffffffff. Long mode, both
   * privileges.
   */
  ask: new Guest('ask'),
  /** Writes to port 0x200 as often as the word at 0x500 says. Long mode, both privileges. */
  count: new Guest('count'),
  /** Writes 0, 1, 2, … to port 0x200. Long mode. */
  numbered: new Guest('numbered'),
  /** Port accesses of 1, 2 and 4 bytes. Long mode. */
  pioSizes: new Guest('pio-sizes'),
  /** One string instruction as the cells at 0x500 say. Long mode. */
  stringIo: new Guest('string-io'),
  /** MMIO accesses of 1, 2, 4 and 8 bytes, across page borders too. Long mode. */
  mmio: new Guest('mmio'),
  /** A loop without exits, and its result. Long mode, both privileges. */
  compute: new Guest('compute'),
  /** Never ends. Every mode and privilege. */
  spin: new Guest('spin'),
  /**
   * A multiboot image: timer interrupts on two vCPUs, the second started by the first. Protected
   * mode, with an irqchip.
   */
  smp: new Guest('smp'),
  /** Shuts the vCPU down. Every mode, CPL 0. */
  tripleFault: new Guest('triple-fault'),
})
