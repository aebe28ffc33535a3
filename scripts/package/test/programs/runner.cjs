// What a test of a user's does with machines, for test runners: says how each step ended.
module.exports = async ({ VirtualMachine, VmError, guests }) => {
  const routes = [{ port: 0xe9, to: 'console' }]
  const hello = new VirtualMachine({ mode: 'real', payload: guests.hello, routes })
  const { outputText } = hello.runSync({ timeoutMs: 300_000 })
  hello.close()

  // in al, 0x60; hlt
  const image = Uint8Array.of(0xe4, 0x60, 0xf4)
  const device = { read: () => Promise.resolve(7) }
  const asking = new VirtualMachine({
    mode: 'real',
    payload: { image },
    routes: [{ port: 0x60, device }],
  })
  const { reason } = await asking.run({ timeoutMs: 300_000 })
  const al = Number(asking.registers().rax & 0xffn)
  asking.close()

  // Under faked timers, too: a guest's time is real.
  const spinning = new VirtualMachine({ mode: 'real', payload: guests.spin })
  const end = await spinning.run({ timeoutMs: 50 })
  spinning.close()
  try {
    return String(new VirtualMachine({}))
  } catch (error) {
    return [outputText, reason, al, end.reason, error instanceof VmError && error.code].join(' ')
  }
}
