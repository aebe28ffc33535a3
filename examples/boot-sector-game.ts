// A game in a boot sector, tested by what its screen shows: the player walks by the arrow keys,
// and looks for treasures.
//
//   node --import @oxc-node/core/register examples/boot-sector-game.ts
//
// prints: ok: the game begins with the player, four steps before a treasure
//         ok: arrows move the player, other keys do not
//         ok: no one walks through the border
//         ok: who finds the treasure gets a point, and there is another one
import assert from 'node:assert/strict'
import { VirtualMachine } from 'vmexit'

/** The boot sector, as `as` has assembled and `objdump -d` shows it. */
const game = assembled(`
  b8 00 b8       start: mov   $0xb800,%ax          ES is the screen
  8e c0                 mov   %ax,%es
  be 75 7c              mov   $title,%si           its first line says the score
  31 ff                 xor   %di,%di
  2e 8a 04              mov   %cs:(%si),%al
  26 88 05       print: mov   %al,%es:(%di)
  83 c7 02              add   $2,%di
  46                    inc   %si
  2e 8a 04              mov   %cs:(%si),%al
  84 c0                 test  %al,%al
  75 f2                 jnz   print
  bb d0 07              mov   $12*160+40*2,%bx     BX: where the player is
  bd d8 07              mov   $12*160+44*2,%bp     BP: the treasure
  b1 30                 mov   $'0',%cl             CL: points
  26 c6 07 01    draw:  movb  $1,%es:(%bx)
  26 c6 46 00 04        movb  $4,%es:(%bp)
  26 88 0e 14 00        mov   %cl,%es:20
  e4 64          key:   in    $0x64,%al            the keyboard controller
  a8 01                 test  $1,%al
  74 fa                 jz    key
  e4 60                 in    $0x60,%al
  ba fe ff              mov   $-2,%dx
  3c 4b                 cmp   $0x4b,%al            left
  74 15                 je    move
  ba 02 00              mov   $2,%dx
  3c 4d                 cmp   $0x4d,%al            right
  74 0e                 je    move
  ba 60 ff              mov   $-160,%dx
  3c 48                 cmp   $0x48,%al            up
  74 07                 je    move
  ba a0 00              mov   $160,%dx
  3c 50                 cmp   $0x50,%al            down
  75 dc                 jne   key
  01 da          move:  add   %bx,%dx
  81 fa a0 00           cmp   $160,%dx             not into the first line
  72 d4                 jb    key
  81 fa a0 0f           cmp   $4000,%dx            nor out of the last one
  73 ce                 jae   key
  26 c6 07 20           movb  $' ',%es:(%bx)
  89 d3                 mov   %dx,%bx
  39 eb                 cmp   %bp,%bx
  75 b6                 jne   draw
  fe c1                 inc   %cl                  found: a point
  81 ed da 01           sub   $3*160-3*2,%bp       and the next one
  eb ae                 jmp   draw
  54 72 65 61 73 75 72 65 3a 20 00   title: "Treasure: "
`)

/** The bytes of each line, before its text. */
function assembled(listing: string): Uint8Array {
  const lines = listing.split('\n').map((line) => /^ *((?:[\da-f]{2} )*[\da-f]{2}) {2}/.exec(line))
  const digits = lines.map((line) => line?.[1] ?? '').join('')
  return Buffer.from(digits.replaceAll(' ', ''), 'hex')
}

/** Where a character is, if it shows. */
function find(vm: VirtualMachine, character: string): { line: number; column: number } | undefined {
  const lines = vm.screen!.text()
  const line = lines.findIndex((text) => text.includes(character))
  return line < 0 ? undefined : { line, column: lines[line]!.indexOf(character) }
}

/** Plays a game of its own, which begins anew. */
async function test(title: string, play: (vm: VirtualMachine) => Promise<void>): Promise<void> {
  using vm = new VirtualMachine({
    mode: 'real',
    pc: true,
    screen: 'text',
    payload: { image: game, loadGpa: 0x7c00 },
  })
  const run = vm.run({ timeoutMs: 30_000 })
  await vm.screen!.waitFor('Treasure: 0')
  await play(vm)
  vm.stop()
  assert.equal((await run).reason, 'stopped')
  console.log(`ok: ${title}`)
}

/** Waits until the player is somewhere. */
const playerAt = (vm: VirtualMachine, line: number, column: number): Promise<unknown> =>
  vm.screen!.waitFor((screen) => screen.text()[line]?.[column] === '☺', { timeoutMs: 10_000 })

await test('the game begins with the player, four steps before a treasure', async (vm) => {
  await vm.screen!.waitFor('☺   ♦')
  assert.deepEqual(find(vm, '☺'), { line: 12, column: 40 })
})

await test('arrows move the player, other keys do not', async (vm) => {
  for (const key of ['left', 'left', 'x', 'up', 'down', 'down', 'right'])
    await vm.keyboard.press(key)
  await playerAt(vm, 13, 39)
  assert.equal(vm.screen!.text().join('').split('☺').length, 2, 'there is one player')
})

await test('no one walks through the border', async (vm) => {
  for (let step = 0; step < 14; step++) await vm.keyboard.press('up')
  await playerAt(vm, 1, 40)
})

await test('who finds the treasure gets a point, and there is another one', async (vm) => {
  for (let step = 0; step < 4; step++) await vm.keyboard.press('right')
  await vm.screen!.waitFor('Treasure: 1')
  await vm.screen!.waitFor('♦')
  assert.deepEqual(
    [find(vm, '☺'), find(vm, '♦')],
    [
      { line: 12, column: 44 },
      { line: 9, column: 47 },
    ],
  )
})
