// The archive format of an initramfs: "newc" cpio, uncompressed (kernel Documentation/driver-api/early-userspace/buffer-format).

const align = (bytes) => Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])

function entry(number, { name, mode, data = Buffer.alloc(0) }) {
  const path = Buffer.from(`${name}\0`)
  // ino, mode, uid, gid, nlink, mtime, file size, device and rdevice as major and minor, name size, checksum.
  const fields = [number, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length, 0]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
  return Buffer.concat([align(Buffer.concat([Buffer.from(header), path])), align(data)])
}

export const directory = (name) => ({ name, mode: 0o040755 })

export const file = (name, data) => ({ name, mode: 0o100755, data: Buffer.from(data) })

/** One archive of the entries, in their order: a directory comes before what it holds. */
export function archive(entries) {
  const all = [...entries, { name: 'TRAILER!!!', mode: 0 }]
  return Buffer.concat(all.map((each, index) => entry(index + 1, each)))
}
