// Network cards and console ports with Linux's own drivers.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'

import test from 'ava'

import { Linux, noLinux } from './fixtures/linux.ts'
import { noPasst } from './fixtures/passt.ts'
import { until } from './fixtures/until.ts'
import { kvmTest } from './helpers/kvm.ts'

const virtio = ['virtio_ring', 'virtio', 'virtio_mmio']
const net = [...virtio, 'failover', 'net_failover', 'virtio_net']

/** What udhcpc calls with an address. */
const script = `#!/bin/sh
[ "$1" = bound ] || exit
ip addr add $ip/$mask dev $interface; ip route add default via $router
`

const titles = {
  ping: 'two Debians, joined by a.pipe(b).pipe(a), ping each other',
  passt: 'Debian gets an address from passt and a page from the host; bytes go through its ports',
}

if (noLinux !== undefined) {
  for (const title of Object.values(titles)) test.skip(`${title}: ${noLinux}`, (t) => t.pass())
} else {
  kvmTest(
    titles.ping,
    async (t) => {
      t.timeout(1_300_000)
      const [a, b] = [0, 1].map(() => new Duplex({ objectMode: true })) as [Duplex, Duplex]
      using one = await Linux.boot(net, { network: [{ frames: a, mac: '02:00:00:00:00:0a' }] })
      using two = await Linux.boot(net, { network: [{ frames: b }] })
      a.pipe(b).pipe(a)
      t.regex(await one.do('cat /sys/class/net/eth0/address'), /02:00:00:00:00:0a/)
      await Promise.all(
        [one, two].map((each, index) =>
          each.do(`ip addr add 192.168.7.${index + 1}/24 dev eth0; ip link set eth0 up`),
        ),
      )
      // One by one: ping does not wait long for the last of several, and a machine may get no
      // processor meanwhile.
      const ping = (peer: number): string =>
        `n=0; while [ $n -lt 5 ]; do ping -c 1 -W 60 192.168.7.${peer} && n=$((n + 1)); done`
      for (const [linux, peer] of [
        [one, 2],
        [two, 1],
      ] as const) {
        const heard = await linux.do(ping(peer))
        t.is(heard.match(/ 1 packets received/g)?.length, 5, heard)
      }
      // The cable is pulled and the driver hears of it.
      a.destroy()
      const carrier = '/sys/class/net/eth0/carrier'
      t.regex(await one.do(`until grep 0 ${carrier}; do usleep 100000; done`), /^0$/m)
      t.regex(await two.do('cat /sys/class/net/eth0/carrier'), /^[01]$/m)
    },
    test.serial,
  )
}

if (noLinux === undefined) {
  const title = titles.passt
  if (noPasst === undefined) {
    kvmTest(
      title,
      async (t) => {
        t.timeout(1_300_000)
        const server = createServer((_, response) => response.end('a page of the host\n'))
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
        t.teardown(() => server.close())
        const { port } = server.address() as AddressInfo
        const options = { network: [{ passt: true }], ports: ['agent'] } as const
        using linux = await Linux.boot([...net, 'virtio_console'], options)
        const { vm } = linux
        await linux.do(
          `printf '${script.replaceAll('\n', String.raw`\n`)}' >/tmp/s; chmod +x /tmp/s`,
        )
        t.regex(
          await linux.do('ip link set eth0 up; udhcpc -i eth0 -s /tmp/s -t 100 -n -q'),
          /10\.0\.2\.15/,
        )
        t.regex(await linux.do(`wget -q -O - http://10.0.2.2:${port}/`), /a page of the host/)

        const agent = vm.ports.get('agent')!
        const console = vm.ports.get(0)!
        const heard = { agent: '', console: '' }
        agent.on('data', (bytes) => (heard.agent += String(bytes)))
        console.on('data', (bytes) => (heard.console += String(bytes)))
        const name =
          'for p in /sys/class/virtio-ports/*; do read n <$p/name && p=/dev/${p##*/}; done'
        t.regex(await linux.do('cat /sys/class/virtio-ports/*/name'), /^agent$/m)
        agent.write('to the agent\n')
        t.regex(await linux.do(`${name}; head -n 1 <$p`), /^to the agent$/m)
        await linux.do('echo from the agent >$p')
        t.true(await until(() => heard.agent === 'from the agent\n'), heard.agent)
        await linux.do('echo on the console >/dev/hvc0')
        t.true(await until(() => heard.console.includes('on the console')), heard.console)
        // Both ways at once, and more than either side keeps.
        await linux.do('(dd if=/dev/zero bs=1000 count=300; sleep 1) >$p 2>/dev/null')
        t.true(await until(() => heard.agent.length === 300_000 + 'from the agent\n'.length))
        await linux.powerOff()
      },
      test.serial,
    )
  } else test.skip(`${title}: ${noPasst}`, (t) => t.pass())
}
