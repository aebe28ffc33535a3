// Requests of the manager's HTTP API with random words in random places, as bytes in hexadecimal.

const METHODS = [
  'GET',
  'GET',
  'POST',
  'POST',
  'PUT',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'CONNECT',
  'TRACE',
  'PRI',
  'get',
  '',
]
const NAMES = [
  'm',
  'm',
  'm',
  'no',
  '..',
  '.',
  '',
  '%00',
  '%',
  '%2e%2e%2f',
  '__proto__',
  'a'.repeat(64),
  'ä',
  '*',
]
const ENDS = [
  ...[
    'start',
    'stop',
    'kill',
    'reset',
    'pause',
    'resume',
    'power-button',
    'nmi',
    'keys',
    'autostart',
    'log',
    'log?bytes=5',
  ],
  ...[
    'screen.png',
    'stats',
    'memory?gpa=0&bytes=16',
    'memory?gpa=-1&bytes=1e9',
    'memory?gpa=1&gpa=2',
    'snapshots',
    'snapshots/s',
  ],
  ...[
    'snapshots/s/restore',
    'save',
    'saved',
    'sockets',
    'serial',
    'screen',
    'toString',
    'constructor',
  ],
]
const PATHS = [
  '/v1/version',
  '/v1/openapi.json',
  '/v1/events',
  '/v1/events?since=0',
  '/v1/events?since=99',
  '/v1/machines',
  '/',
  '*',
  'http://x/v1/version',
]
const STRINGS = [
  'm',
  '',
  '__proto__',
  '\u0000',
  'ä',
  '😀',
  '/',
  '../..',
  'KeyA',
  'x'.repeat(5000),
  '\ud800',
]
const NUMBERS = [0, 1, -1, 0.5, 1e308, -0, 65_536, 2 ** 53]
const KEYS = [
  'definition',
  'base',
  'persistent',
  'uuid',
  'paused',
  'fresh',
  'timeoutMs',
  'codes',
  'holdMs',
  'name',
  'description',
  'autostart',
  '__proto__',
  'constructor',
  'from',
  'xml',
]
/** What operations take. */
const BODIES = [
  { definition: { name: 'm', payload: { guest: 'hello' } } },
  { definition: { name: 'm' }, base: '/tmp', persistent: true },
  { paused: true },
  { fresh: true },
  { timeoutMs: 1 },
  { codes: ['KeyA'], holdMs: 1 },
  { autostart: true },
  { name: 's', description: 'd' },
]

function value(random, depth = 0) {
  return random.pick([
    () => random.pick(STRINGS),
    () => random.pick(NUMBERS),
    () => random.pick([true, false, null]),
    () => random.several(random.below(4), () => (depth > 3 ? 0 : value(random, depth + 1))),
    () =>
      Object.fromEntries(
        random.several(random.below(4), () => [
          random.pick(KEYS),
          depth > 3 ? 0 : value(random, depth + 1),
        ]),
      ),
  ])()
}

function body(random) {
  return random.pick([
    () => '',
    () => JSON.stringify(random.pick(BODIES)),
    () => JSON.stringify({ ...random.pick(BODIES), [random.pick(KEYS)]: value(random) }),
    () => JSON.stringify(value(random)),
    () => `{"${random.pick(KEYS)}":`.repeat(random.pick([1, 70, 20_000])),
    () => '['.repeat(random.pick([1, 65, 100_000])) + ']'.repeat(random.pick([1, 65, 100_000])),
    () => `{"__proto__":${JSON.stringify(value(random))}}`,
    () =>
      random.several(random.below(50), () => String.fromCodePoint(random.below(0x250))).join(''),
  ])()
}

const target = (random) =>
  random.oneIn(3)
    ? random.pick(PATHS)
    : `/v1/machines/${random.pick(NAMES)}${random.oneIn(6) ? '' : `/${random.pick(ENDS)}`}${random.oneIn(12) ? '?since=1&x' : ''}`

const HEADERS = [
  (random) =>
    `Host: ${random.pick(['localhost', 'evil.example', '', '127.0.0.1:1', 'x'.repeat(300)])}`,
  (random) =>
    `Content-Type: ${random.pick(['application/json', 'text/plain', 'application/json; charset=x', ''])}`,
  (random) =>
    `Content-Length: ${random.pick(['0', '5', '-1', '1e3', '99999999999999999999', '1048577', '0x10', '5, 6'])}`,
  (random) =>
    `Transfer-Encoding: ${random.pick(['chunked', 'gzip', 'chunked, chunked', 'identity', 'xchunked'])}`,
  (random) =>
    `Connection: ${random.pick(['close', 'keep-alive', 'upgrade', 'Upgrade, close', 'x'])}`,
  (random) => `Upgrade: ${random.pick(['websocket', 'h2c', 'WebSocket, x', ''])}`,
  (random) => `Sec-WebSocket-Key: ${random.pick(['dGhlIHNhbXBsZSBub25jZQ==', 'x', ''])}`,
  (random) => `Sec-WebSocket-Version: ${random.pick(['13', '8', '99'])}`,
  (random) =>
    `Sec-WebSocket-Extensions: ${random.pick(['permessage-deflate', ';;', 'x'.repeat(100)])}`,
  (random) => `Expect: ${random.pick(['100-continue', 'x'])}`,
  (random) => `Last-Event-ID: ${random.pick(['0', '1', '-1', 'x', '9'.repeat(30)])}`,
  (random) => `Origin: ${random.pick(['http://evil.example', 'null', 'http://localhost'])}`,
  (random) => `Authorization: Bearer ${random.pick(['x', '', 'ä'])}`,
  (random) => `X-${random.below(9)}: ${'y'.repeat(random.pick([0, 10, 20_000]))}`,
  (random) =>
    random.pick([' folded', 'no colon', ': no name', 'A b: c', 'A\u0000: b', 'Host: again']),
]

const chunked = (random, text) =>
  random.pick([
    () => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`,
    () => `${random.pick(['zz', '-1', 'fffffffffffffffff', ''])}\r\n${text}\r\n0\r\n\r\n`,
    () => `1;${'e'.repeat(random.pick([1, 20_000]))}\r\n${text.slice(0, 1)}\r\n`,
    () => `${text.length.toString(16)}\r\n${text}0\r\nTrailer: x\r\n\r\n`,
  ])()

/** A handshake, and frames of which most are wrong. */
function webSocket(random) {
  const head = `GET /v1/machines/${random.pick(NAMES)}/serial HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`
  const frame = () =>
    [random.below(256), random.pick([0x80, 0x85, 0xfd, 0xfe, 0xff, 0x05, random.below(256)])]
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join('') + random.hex(random.pick([0, 4, 9, 14, 40]))
  return Buffer.from(head).toString('hex') + random.several(random.below(6), frame).join('')
}

function plain(random) {
  const text = body(random)
  const isChunked = random.oneIn(6)
  const headers = [
    'Host: localhost',
    ...(random.oneIn(8) ? [] : ['Content-Type: application/json']),
    ...(isChunked
      ? ['Transfer-Encoding: chunked']
      : [`Content-Length: ${Buffer.byteLength(text)}`]),
    ...random.several(random.pick([0, 0, 0, 1, 2]), () => random.pick(HEADERS)(random)),
  ]
  if (random.oneIn(20)) headers.shift()
  const version = random.oneIn(20)
    ? random.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/9', ''])
    : 'HTTP/1.1'
  const end = random.oneIn(30) ? '\n' : '\r\n'
  const first = `${random.pick(METHODS)} ${target(random)} ${version}`
  const sent = isChunked ? chunked(random, text) : text
  return Buffer.from(`${[first, ...headers, '', ''].join(end)}${sent}`).toString('hex')
}

/** One request, or something like it. */
export function request(random) {
  const made = random.oneIn(6) ? webSocket(random) : plain(random)
  if (!random.oneIn(4)) return made
  const bytes = Buffer.from(made, 'hex')
  for (let count = random.below(4); count > 0 && bytes.length > 0; count--)
    bytes[random.below(bytes.length)] = random.below(256)
  return bytes
    .subarray(0, random.oneIn(2) ? bytes.length : random.below(bytes.length + 1))
    .toString('hex')
}
