// Draw a flame graph of a guest
//
// prints: flame.svg, main;hot in it: true
import { writeFileSync } from 'node:fs'
import { VirtualMachine, assembleSync } from 'vmexit'

const code = `main: push rbp; mov rbp, rsp; again: call hot; call cold; jmp again
   .org 0x20; hot:  push rbp; mov rbp, rsp; mov ecx, 900; loop .; pop rbp; ret
   .org 0x40; cold: push rbp; mov rbp, rsp; mov ecx, 300; loop .; pop rbp; ret`
const payload = { image: assembleSync(code, { bits: 64 }) }
using vm = new VirtualMachine({ mode: 'long', payload })
const symbols = (address: bigint) => ['main', 'hot', 'cold'][Number(address / 0x20n)]
const profile = await vm.profile({ hz: 500, timeoutMs: 3000, symbols })

let left = 0
const boxes = new Map<string, [left: number, width: number]>()
for (const line of profile.encode('folded').trim().split('\n').toSorted()) {
  const [frames = '', count] = line.split(/ (?=\d+$)/)
  const width = (Number(count) / profile.samples) * 800
  for (const { index } of frames.matchAll(/;|$/g)) {
    const [x, sum] = boxes.get(frames.slice(0, index)) ?? [left, 0]
    boxes.set(frames.slice(0, index), [x, sum + width])
  }
  left += width
}
const parts = Array.from(boxes, ([frames, [x, width]]) => {
  const place = `x="${x}" y="${frames.split(';').length * 20}" width="${width}" height="19"`
  const name = `<text x="4" y="14">${frames.split(';').at(-1)}</text>`
  return `<svg ${place}><rect width="100%" height="100%" fill="gold" stroke="white"/>${name}</svg>`
})
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="800">${parts.join('')}</svg>`
writeFileSync('flame.svg', svg)
console.log('flame.svg, main;hot in it:', boxes.has('main;hot'))
