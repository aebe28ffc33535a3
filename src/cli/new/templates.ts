/** What `vmexit new` can make a project of. Each is a folder in `templates/`. */
export const templates = [
  {
    name: 'boot-sector',
    about: '512 bytes in assembly language, with screen and keyboard',
    needs: ['as'],
  },
  {
    name: 'c-guest',
    about: 'a guest in C with a linker script, in 64-bit mode',
    needs: ['cc'],
  },
  {
    name: 'kernel-test',
    about: 'a small multiboot kernel, tested by its screen and serial port',
    needs: ['cc'],
  },
  {
    name: 'native',
    about: 'a library in C, called from JavaScript',
    needs: ['cc'],
  },
  {
    name: 'device',
    about: 'a device in JavaScript, with DMA and an interrupt, and its driver',
    needs: ['as'],
  },
] as const

/** One of them. */
export type Template = (typeof templates)[number]
